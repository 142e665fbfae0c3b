"""The ledger of credit as it is, over lists instead of tables: for many random lives of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from app.credits.domain import USE_CAUSE, Bound, Draw, Used
from app.credits.models import CreditAccount, CreditEntry, CreditGrant
from app.credits.repository import CreditRepository
from app.credits.service.documents import CreditOfInvoices
from app.credits.service.ledger import CreditLedger
from app.kernel.clock import ManualClock
from app.kernel.ids import OrganizationId, new_id
from app.kernel.money import USD, Currency


class Unit:
    """A unit of work in which nothing is written and nobody is told."""

    @asynccontextmanager
    async def begin(self, organization_id: OrganizationId) -> AsyncIterator[None]:
        yield

    def announce(self, fact: object) -> None:
        """Nobody listens."""

    def record(self, *what: object, **more: object) -> None:
        """As an audit log that nobody reads."""


class Shelf(CreditRepository):
    """One organization's accounts, grants, entries and draws."""

    def __init__(self) -> None:
        self.accounts: dict[str, CreditAccount] = {}
        self.grants: list[CreditGrant] = []
        self.entries: list[CreditEntry] = []
        self.draws: dict[UUID, tuple[Draw, ...]] = {}

    async def has_account(self, organization_id: OrganizationId, currency: Currency) -> bool:
        return str(currency) in self.accounts

    async def lock_account(
        self, organization_id: OrganizationId, currency: Currency, now: datetime
    ) -> CreditAccount:
        opened = CreditAccount(
            organization_id=organization_id,
            id=new_id(),
            currency=str(currency),
            opened_at=now,
            is_used=False,
            use_settled=0,
            use_settlements=0,
        )
        return self.accounts.setdefault(str(currency), opened)

    async def add(self, *rows: CreditGrant | CreditEntry) -> None:
        for row in rows:
            if isinstance(row, CreditGrant):
                self.grants.append(row)
            else:
                self.entries.append(row)

    async def add_draws(
        self, organization_id: OrganizationId, entry_id: UUID, draws: Iterable[Draw]
    ) -> None:
        self.draws[entry_id] = tuple(draws)

    async def get_grant(self, organization_id: OrganizationId, grant_id: UUID) -> CreditGrant:
        return next(one for one in self.grants if one.id == grant_id)

    async def list_left(
        self, organization_id: OrganizationId, currency: Currency | None = None
    ) -> list[CreditGrant]:
        return [
            one
            for one in self.grants
            if one.remaining > 0 and currency in (None, Currency(one.currency))
        ]

    async def list_named(
        self, organization_id: OrganizationId, grant_ids: Iterable[UUID]
    ) -> list[CreditGrant]:
        return [one for one in self.grants if one.id in set(grant_ids)]

    async def find_entry(self, organization_id: OrganizationId, cause: str) -> CreditEntry | None:
        return next((one for one in self.entries if one.cause == cause), None)

    async def draws_of(
        self, organization_id: OrganizationId, entry_ids: Sequence[UUID]
    ) -> dict[UUID, tuple[Draw, ...]]:
        return {each: self.draws[each] for each in entry_ids if each in self.draws}

    async def drawn_for_use(self, organization_id: OrganizationId) -> list[Draw]:
        taken: dict[UUID, int] = defaultdict(int)
        for entry in self.entries:
            if (entry.cause or "").startswith(USE_CAUSE):
                for draw in self.draws[entry.id]:
                    taken[draw.grant_id] += draw.amount
        return [Draw(grant, amount) for grant, amount in reversed(taken.items()) if amount > 0]

    async def balance(self, organization_id: OrganizationId, currency: Currency) -> int:
        return sum(one.amount for one in self.entries if one.currency == str(currency))


class Calls:
    """What calls to models cost, and hold."""

    def __init__(self) -> None:
        self.made: list[tuple[datetime, Decimal]] = []
        self.held = Decimal(0)
        self.bounded: Bound | None = None

    async def look(
        self, organization_id: OrganizationId, account_id: UUID, *, lock: bool = False
    ) -> Used:
        return Used(sum((cost for _, cost in self.made), Decimal(0)), self.held)

    async def used_since(
        self, organization_id: OrganizationId, account_id: UUID, at: datetime
    ) -> Decimal:
        return sum((cost for when, cost in self.made if when >= at), Decimal(0))

    async def bound(self, organization_id: OrganizationId, account_id: UUID, bound: Bound) -> None:
        self.bounded = bound


class Books:
    """A ledger of one organization that lives in memory, and what it was built of."""

    def __init__(self, clock: ManualClock) -> None:
        self.shelf, self.calls, self.clock = Shelf(), Calls(), clock
        self.organization_id = OrganizationId(new_id())
        unit = cast("Any", Unit())
        calls = cast("Any", self.calls)
        self.ledger = CreditLedger(unit, self.shelf, calls, unit, clock)
        self.invoices = CreditOfInvoices(unit, self.ledger)

    async def pay_calls(self) -> None:
        """Let calls to models be paid from the account in US dollars, as a plan would."""
        account = await self.shelf.lock_account(self.organization_id, USD, self.clock.now())
        account.is_used, account.draws_since = True, self.clock.now()
