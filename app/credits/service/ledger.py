"""Every change of a balance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from app.audit.service import AuditLog
from app.credits import domain
from app.credits.domain import (
    Balance,
    CreditUse,
    Deduction,
    Draw,
    EntryKind,
    GrantType,
    Used,
    in_dollars,
    spare,
)
from app.credits.errors import GrantOver
from app.credits.events import CreditGranted, CreditLow
from app.credits.models import CreditAccount, CreditEntry, CreditGrant
from app.credits.repository import CreditRepository
from app.credits.service.book import AccountBook
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, encode_id, new_id
from app.kernel.money import USD, Currency, Money
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
        self,
        work: UnitOfWork,
        repository: CreditRepository,
        use: CreditUse,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._work = work
        self._credits = repository
        self._use = use
        self._book = AccountBook(repository, use, clock)
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
            await self._book.write(
                account,
                EntryKind.GRANT,
                (Draw(row.id, -new.amount.minor),),
                actor=actor,
                cause=cause,
                description=new.description,
                credit_type=new.type,
            )
            if account.is_used:
                # Now there is more to use, after what was used before there was enough.
                await self._book.bring_up(account, now)
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

        What use has cost is taken first, and what reservations hold is not there to take. Joins the unit around it, so a document's settlement and its credit are one commit.
        """
        now = self._clock.now()
        async with self._work.begin(organization_id):
            account = await self._credits.lock_account(organization_id, amount.currency, now)
            spoken_for = await self._book.bring_up(account, now)
            known = cause and await self._credits.find_entry(organization_id, cause)
            entry = known or None
            if entry is None:
                rows = await self._credits.list_left(organization_id, amount.currency)
                there = spare(sum(row.remaining for row in rows), spoken_for)
                draws = domain.draw(
                    min(amount.minor, there), [row.to_domain() for row in rows], now
                )
                entry = await self._book.take(
                    account,
                    draws,
                    EntryKind.DEDUCTION,
                    actor=actor,
                    cause=cause,
                    description=description,
                    invoice_id=invoice_id,
                )
                await self._book.set_bound(account)
            deduction = await self._deduction(organization_id, amount, entry)
            self._tell_if_low(account, deduction.balance)
            return deduction

    async def take_back(
        self,
        organization_id: OrganizationId,
        given_for: str,
        amount: Money,
        *,
        actor: str,
        cause: str,
        description: str,
    ) -> int:
        """Take up to *amount* of the grant that was *given_for* a cause; answers how much.

        Of what is left of it, and of what neither use nor a reservation has a claim to. Once for
        its *cause*. Joins the unit around it.
        """
        now = self._clock.now()
        async with self._work.begin(organization_id):
            account = await self._credits.lock_account(organization_id, amount.currency, now)
            spoken_for = await self._book.bring_up(account, now)
            entry = await self._credits.find_entry(organization_id, cause)
            given = await self._credits.find_entry(organization_id, given_for)
            if entry is None and given is not None:
                (own,) = (await self._credits.draws_of(organization_id, [given.id]))[given.id]
                rows = await self._credits.list_left(organization_id, amount.currency)
                there = spare(sum(row.remaining for row in rows), spoken_for)
                left = sum(row.remaining for row in rows if row.id == own.grant_id)
                taken = min(amount.minor, left, there)
                entry = await self._book.take(
                    account,
                    (Draw(own.grant_id, taken),) if taken else (),
                    EntryKind.DEDUCTION,
                    actor=actor,
                    cause=cause,
                    description=description,
                )
                await self._book.set_bound(account)
            return -entry.amount if entry is not None else 0

    async def is_kept_for(self, organization_id: OrganizationId, currency: Currency) -> bool:
        """Whether the organization was ever given credit in *currency*; if not, none was taken.

        Opens no account and holds none: to ask first where most have nothing.
        """
        async with self._work.begin(organization_id):
            return await self._credits.has_account(organization_id, currency)

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
            await self._book.take(
                account,
                tuple(Draw(draw.grant_id, -draw.amount) for draw in drawn),
                EntryKind.RETURN,
                actor=actor,
                cause=back,
                description=description,
                invoice_id=taken.invoice_id,
            )
            await self._book.bring_up(account, now)
            return Money(-taken.amount, currency)

    async def bring_up(self, organization_id: OrganizationId, currency: Currency = USD) -> None:
        """Write down what use has cost and which grants have come to their end, until now.

        Again changes nothing. Use from before a grant's end is taken from it before it lapses.
        """
        now = self._clock.now()
        async with self._work.begin(organization_id):
            account = await self._credits.lock_account(organization_id, currency, now)
            await self._book.bring_up(account, now)
            if account.low_below is not None:
                self._tell_if_low(account, await self._credits.balance(organization_id, currency))

    async def pay_use_from(
        self, organization_id: OrganizationId, since: datetime | None, at: datetime
    ) -> None:
        """Draw on the account for what is used since an instant, or (None) no longer from *at* on.

        What was used until then is still paid from it, also what is known of late. Again changes
        nothing. Opens a unit of its own.
        """
        now = self._clock.now()
        async with self._work.begin(organization_id):
            await self._use.hold_still(organization_id)
            account = await self._credits.lock_account(organization_id, USD, now)
            if account.draws_since == since:
                return
            if account.draws_since is not None:
                await self._use.end(organization_id, account.id, since or at)
            if since is not None:
                await self._use.begin(organization_id, account.id, since)
                account.is_used = True
            account.draws_since = since
            await self._book.bring_up(account, now)

    async def balances(self, organization_id: OrganizationId) -> list[Balance]:
        """What there is to spend now, one balance a currency, by the currency's code."""
        now = self._clock.now()
        async with self._work.begin(organization_id):
            # In this order a settlement in between makes what is available look smaller, not more.
            account = await self._credits.find_account(organization_id, USD)
            used = None
            if account is not None and account.is_used:
                used = await self._use.look(organization_id, account.id)
            grants = [row.to_domain() for row in await self._credits.list_left(organization_id)]
        spendable = [grant for grant in grants if grant.is_spendable(now)]
        currencies = {grant.currency for grant in spendable}
        if used is not None:
            currencies.add(USD)
        return [
            Balance(
                currency,
                sum(grant.remaining for grant in spendable if grant.currency == currency),
                tuple(
                    grant
                    for grant in domain.in_order_of_use(spendable)
                    if grant.currency == currency and grant.expires_at is not None
                ),
                *_claims(account, used, currency),
            )
            for currency in sorted(currencies)
        ]

    async def transactions(
        self, organization_id: OrganizationId, request: PageRequest
    ) -> Page[domain.Entry]:
        """The ledger, newest first."""
        async with self._work.begin(organization_id):
            page = await self._credits.list_entries(organization_id, request)
            draws = await self._credits.draws_of(organization_id, [row.id for row in page.items])
            return page.map(lambda row: row.to_domain(_shown(row, draws.get(row.id, ()))))

    def _tell_if_low(self, account: CreditAccount, balance: int) -> None:
        if account.low_below is not None and balance < account.low_below:
            self._work.announce(CreditLow(account.organization_id, balance, account.currency))

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


def _claims(
    account: CreditAccount | None, used: Used | None, currency: Currency
) -> tuple[Decimal, Decimal]:
    if account is None or used is None or currency != USD:
        return Decimal(0), Decimal(0)
    return used.posted - in_dollars(account.use_settled), used.held


def _shown(row: CreditEntry, draws: tuple[Draw, ...]) -> tuple[Draw, ...]:
    return tuple(Draw(draw.grant_id, abs(draw.amount)) for draw in draws)
