"""What happens to an account whose row is locked: entries, and what use and time take from it."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from app.credits import domain
from app.credits.domain import (
    USE_CAUSE,
    Bound,
    CreditUse,
    Draw,
    EntryKind,
    GrantType,
    Used,
    in_dollars,
    whole_cents,
)
from app.credits.models import CreditAccount, CreditEntry
from app.credits.repository import CreditRepository
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, new_id
from app.kernel.money import USD, Currency

_AN_INSTANT = timedelta(microseconds=1)


class AccountBook:
    """Writes into accounts; every method joins the unit that has locked the account."""

    def __init__(self, repository: CreditRepository, use: CreditUse, clock: Clock) -> None:
        self._credits = repository
        self._use = use
        self._clock = clock

    async def bring_up(self, account: CreditAccount, now: datetime) -> Decimal:
        """Settle use, let grants lapse, and bound further use; answers what use has a claim to."""
        if not account.is_used:
            await self._let_lapse(account, now)
            return Decimal(0)
        organization_id = OrganizationId(account.organization_id)
        # Held until the end: nobody is granted credit that is taken here, and the other way round.
        used = await self._use.look(organization_id, account.id, lock=True)
        await self._let_lapse(account, now, used)
        await self._settle(account, whole_cents(used.posted) - account.use_settled, now)
        await self.set_bound(account)
        return max(used.posted - in_dollars(account.use_settled), Decimal(0)) + used.held

    async def _let_lapse(
        self, account: CreditAccount, now: datetime, used: Used | None = None
    ) -> None:
        organization_id = OrganizationId(account.organization_id)
        rows = await self._credits.list_left(organization_id, Currency(account.currency))
        lapsed = [row for row in rows if row.to_domain().has_lapsed(now)]
        for row in sorted(lapsed, key=lambda row: (row.expires_at, row.id)):
            if used is not None and row.expires_at is not None:
                after = await self._use.used_since(organization_id, account.id, row.expires_at)
                before = whole_cents(used.posted - after) - account.use_settled
                await self._settle(account, max(before, 0), row.expires_at - _AN_INSTANT)
            if row.remaining == 0:
                continue
            # No cause: what was returned to a lapsed grant lapses a second time.
            await self.take(
                account,
                (Draw(row.id, row.remaining),),
                EntryKind.EXPIRY,
                actor="system",
                credit_type=GrantType(row.type),
            )

    async def _settle(self, account: CreditAccount, cents: int, at: datetime) -> None:
        """Take what use has cost from what could be spent at an instant, or give it back."""
        if cents == 0:
            return
        organization_id = OrganizationId(account.organization_id)
        if cents > 0:
            rows = await self._credits.list_left(organization_id, USD)
            draws = domain.draw(cents, [row.to_domain() for row in rows], at)
        else:
            drawn = await self._credits.drawn_for_use(organization_id)
            draws = domain.undraw(-cents, drawn)
        if not draws:
            return
        account.use_settled += sum(draw.amount for draw in draws)
        account.use_settlements += 1
        await self.take(
            account,
            draws,
            EntryKind.DEDUCTION if cents > 0 else EntryKind.RETURN,
            actor="system",
            cause=f"{USE_CAUSE}{account.use_settlements}",
            description="Use of models",
        )

    async def set_bound(self, account: CreditAccount) -> None:
        """Tell use how far it may go; in the unit in which the balance has changed."""
        if not account.is_used:
            return
        organization_id = OrganizationId(account.organization_id)
        rows = await self._credits.list_left(organization_id, USD)
        ends = min((row.expires_at for row in rows if row.expires_at), default=None)
        await self._use.bound(
            organization_id,
            account.id,
            Bound(
                balance=in_dollars(sum(row.remaining for row in rows)),
                settled=in_dollars(account.use_settled),
                refuses=account.draws_since is not None,
                lapses_at=ends,
                lapsing=in_dollars(sum(row.remaining for row in rows if row.expires_at == ends))
                if ends
                else Decimal(0),
            ),
        )

    async def take(
        self,
        account: CreditAccount,
        draws: tuple[Draw, ...],
        kind: EntryKind,
        *,
        actor: str,
        cause: str | None = None,
        description: str | None = None,
        credit_type: GrantType | None = None,
        invoice_id: UUID | None = None,
    ) -> CreditEntry | None:
        if not draws:
            return None
        organization_id = OrganizationId(account.organization_id)
        taken = {draw.grant_id: draw.amount for draw in draws}
        for grant in await self._credits.list_named(organization_id, taken):
            grant.remaining -= taken[grant.id]
        return await self.write(
            account,
            kind,
            draws,
            actor=actor,
            cause=cause,
            description=description,
            credit_type=credit_type,
            invoice_id=invoice_id,
        )

    async def write(
        self,
        account: CreditAccount,
        kind: EntryKind,
        draws: tuple[Draw, ...],
        *,
        actor: str,
        cause: str | None,
        description: str | None,
        credit_type: GrantType | None,
        invoice_id: UUID | None = None,
    ) -> CreditEntry:
        organization_id = OrganizationId(account.organization_id)
        entry = CreditEntry(
            organization_id=organization_id,
            id=new_id(),
            account_id=account.id,
            kind=kind.value,
            credit_type=credit_type.value if credit_type else None,
            amount=-sum(draw.amount for draw in draws),
            currency=account.currency,
            description=description,
            invoice_id=invoice_id,
            cause=cause,
            actor=actor,
            created_at=self._clock.now(),
        )
        await self._credits.add(entry)
        await self._credits.add_draws(organization_id, entry.id, draws)
        return entry
