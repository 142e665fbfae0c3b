"""Every change of a balance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.audit.service import AuditLog
from app.credits import domain
from app.credits.domain import Balance, Deduction, Draw, EntryKind, GrantType
from app.credits.errors import GrantOver
from app.credits.events import CreditGranted
from app.credits.models import CreditAccount, CreditEntry, CreditGrant
from app.credits.repository import CreditRepository
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, encode_id, new_id
from app.kernel.money import Currency, Money
from app.kernel.pages import Page, PageRequest


@dataclass(frozen=True, slots=True)
class NewGrant:
    """Credit to give."""

    type: GrantType
    amount: Money
    description: str | None = None
    expires_at: datetime | None = None


class CreditLedger:
    """Whoever changes a balance holds its account's row, so two never spend the same credit."""

    def __init__(
        self, work: UnitOfWork, repository: CreditRepository, audit: AuditLog, clock: Clock
    ) -> None:
        self._work = work
        self._credits = repository
        self._audit = audit
        self._clock = clock

    async def grant(
        self,
        organization_id: OrganizationId,
        new: NewGrant,
        *,
        actor: str,
        cause: str | None = None,
    ) -> domain.Grant:
        """Give credit; with a *cause* once for it. Raises `GrantOver` for an end in the past."""
        now = self._clock.now()
        if new.expires_at is not None and new.expires_at <= now:
            raise GrantOver
        currency = new.amount.currency
        async with self._work.begin(organization_id):
            account = await self._credits.lock_account(organization_id, currency, now)
            if cause is not None and (
                known := await self._credits.find_entry(organization_id, cause)
            ):
                draws = await self._credits.draws_of(organization_id, [known.id])
                given = await self._credits.get_grant(organization_id, draws[known.id][0].grant_id)
                return given.to_domain()
            row = CreditGrant(
                organization_id=organization_id,
                id=new_id(),
                account_id=account.id,
                type=new.type.value,
                currency=str(currency),
                amount=new.amount.minor,
                remaining=new.amount.minor,
                expires_at=new.expires_at,
                granted_at=now,
                description=new.description,
            )
            await self._credits.add(row)
            # A grant draws on itself, backwards: so an entry names its grants whatever its kind.
            await self._write(
                account,
                EntryKind.GRANT,
                (Draw(row.id, -new.amount.minor),),
                actor=actor,
                cause=cause,
                description=new.description,
                credit_type=new.type,
            )
            self._work.announce(
                CreditGranted(organization_id, row.id, new.amount.minor, str(currency))
            )
            self._audit.record(
                "credits.granted",
                encode_id("crd", row.id),
                organization_id=organization_id,
                after={
                    "amount": row.amount,
                    "currency": row.currency,
                    "type": row.type,
                    "expires_at": row.expires_at,
                },
                reason=new.description,
                actor=actor,
            )
            return row.to_domain()

    async def deduct(
        self,
        organization_id: OrganizationId,
        amount: Money,
        *,
        actor: str,
        description: str | None = None,
        invoice_id: UUID | None = None,
        cause: str | None = None,
    ) -> Deduction:
        """Take what there is of *amount*; with a *cause* once for it, and again the same answer.

        Joins the unit around it, so a document's settlement and its credit are one commit.
        """
        now = self._clock.now()
        async with self._work.begin(organization_id):
            account = await self._credits.lock_account(organization_id, amount.currency, now)
            await self._let_lapse(account, now)
            known = cause and await self._credits.find_entry(organization_id, cause)
            entry = known or None
            if entry is None:
                rows = await self._credits.list_left(organization_id, amount.currency)
                draws = domain.draw(amount.minor, [row.to_domain() for row in rows], now)
                entry = await self._take(
                    account,
                    draws,
                    EntryKind.DEDUCTION,
                    actor=actor,
                    cause=cause,
                    description=description,
                    invoice_id=invoice_id,
                )
            return await self._deduction(organization_id, amount, entry)

    async def give_back(
        self, organization_id: OrganizationId, cause: str, *, actor: str, description: str
    ) -> Money | None:
        """Undo what was taken for *cause*, to the grants it came from; None if nothing is left to.

        What goes back to a grant that has lapsed meanwhile lapses again at once.
        """
        now = self._clock.now()
        async with self._work.begin(organization_id):
            taken = await self._credits.find_entry(organization_id, cause)
            if taken is None or taken.kind != EntryKind.DEDUCTION.value:
                return None
            currency = Currency(taken.currency)
            account = await self._credits.lock_account(organization_id, currency, now)
            back = f"return:{cause}"
            if await self._credits.find_entry(organization_id, back) is not None:
                return None
            drawn = (await self._credits.draws_of(organization_id, [taken.id]))[taken.id]
            await self._take(
                account,
                tuple(Draw(draw.grant_id, -draw.amount) for draw in drawn),
                EntryKind.RETURN,
                actor=actor,
                cause=back,
                description=description,
                invoice_id=taken.invoice_id,
            )
            await self._let_lapse(account, now)
            return Money(-taken.amount, currency)

    async def let_lapse(self, organization_id: OrganizationId, currency: Currency) -> None:
        """Write down that grants have come to their end; again changes nothing."""
        now = self._clock.now()
        async with self._work.begin(organization_id):
            account = await self._credits.lock_account(organization_id, currency, now)
            await self._let_lapse(account, now)

    async def balances(self, organization_id: OrganizationId) -> list[Balance]:
        """What there is to spend now, one balance a currency, by the currency's code."""
        now = self._clock.now()
        async with self._work.begin(organization_id):
            grants = [row.to_domain() for row in await self._credits.list_left(organization_id)]
        spendable = [grant for grant in grants if grant.is_spendable(now)]
        return [
            Balance(
                currency,
                sum(grant.remaining for grant in spendable if grant.currency == currency),
                tuple(
                    grant
                    for grant in domain.in_order_of_use(spendable)
                    if grant.currency == currency and grant.expires_at is not None
                ),
            )
            for currency in sorted({grant.currency for grant in spendable})
        ]

    async def transactions(
        self, organization_id: OrganizationId, request: PageRequest
    ) -> Page[domain.Entry]:
        """The ledger, newest first."""
        async with self._work.begin(organization_id):
            page = await self._credits.list_entries(organization_id, request)
            draws = await self._credits.draws_of(organization_id, [row.id for row in page.items])
            return page.map(lambda row: row.to_domain(_shown(row, draws.get(row.id, ()))))

    async def _let_lapse(self, account: CreditAccount, now: datetime) -> None:
        organization_id = OrganizationId(account.organization_id)
        rows = await self._credits.list_left(organization_id, Currency(account.currency))
        for row in domain.in_order_of_use(row.to_domain() for row in rows):
            if row.has_lapsed(now):
                # No cause: what was returned to a lapsed grant lapses a second time.
                await self._take(
                    account,
                    (Draw(row.id, row.remaining),),
                    EntryKind.EXPIRY,
                    actor="system",
                    credit_type=row.type,
                )

    async def _take(
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
        return await self._write(
            account,
            kind,
            draws,
            actor=actor,
            cause=cause,
            description=description,
            credit_type=credit_type,
            invoice_id=invoice_id,
        )

    async def _write(
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

    async def _deduction(
        self, organization_id: OrganizationId, amount: Money, entry: CreditEntry | None
    ) -> Deduction:
        taken = -entry.amount if entry else 0
        draws = await self._credits.draws_of(organization_id, [entry.id]) if entry else {}
        return Deduction(
            entry=entry.to_domain(draws[entry.id]) if entry else None,
            amount_deducted=taken,
            remaining_amount=amount.minor - taken,
            balance=await self._credits.balance(organization_id, amount.currency),
        )


def _shown(row: CreditEntry, draws: tuple[Draw, ...]) -> tuple[Draw, ...]:
    return tuple(Draw(draw.grant_id, abs(draw.amount)) for draw in draws)
