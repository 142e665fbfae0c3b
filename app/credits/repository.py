"""Credit in and out of the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Text, and_, case, cast, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert

from app.credits.domain import USE_CAUSE, Draw
from app.credits.models import CreditAccount, CreditDraw, CreditEntry, CreditGrant
from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId, new_id
from app.kernel.money import Currency
from app.kernel.pages import Page, PageRequest

_HAS_ACCOUNT = text("""
select exists (
    select from credit_accounts
    where organization_id = :organization_id and currency = :currency
)
""")


class CreditRepository(Repository):
    """Accounts, grants, entries and draws."""

    async def has_account(self, organization_id: OrganizationId, currency: Currency) -> bool:
        """Whether there ever was credit in *currency*."""
        found = await self.session.scalar(
            _HAS_ACCOUNT, {"organization_id": organization_id, "currency": str(currency)}
        )
        return bool(found)

    async def lock_account(
        self, organization_id: OrganizationId, currency: Currency, now: datetime
    ) -> CreditAccount:
        """The account, opened if need be, held by this unit until it ends."""
        await self.session.execute(
            insert(CreditAccount)
            .values(
                organization_id=organization_id, id=new_id(), currency=str(currency), opened_at=now
            )
            .on_conflict_do_nothing(index_elements=["organization_id", "currency"])
        )
        found = await self.session.scalars(
            select(CreditAccount)
            .where(
                CreditAccount.organization_id == organization_id,
                CreditAccount.currency == str(currency),
            )
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        return found.one()

    async def find_account(
        self, organization_id: OrganizationId, currency: Currency
    ) -> CreditAccount | None:
        return await self.session.scalar(
            select(CreditAccount).where(
                CreditAccount.organization_id == organization_id,
                CreditAccount.currency == str(currency),
            )
        )

    async def watch(
        self, organization_id: OrganizationId, currency: Currency | None, below: int | None
    ) -> None:
        """Let the account of *currency* be low below *below*, and no other account at any."""
        watched = case(
            (CreditAccount.currency == str(currency or ""), literal(below, BigInteger())),
            else_=None,
        )
        await self.session.execute(
            update(CreditAccount)
            .where(CreditAccount.organization_id == organization_id)
            .values(low_below=watched)
            .execution_options(synchronize_session=False)
        )

    async def add(self, *rows: CreditGrant | CreditEntry) -> None:
        self.session.add_all(rows)
        await self.session.flush()

    async def add_draws(
        self, organization_id: OrganizationId, entry_id: UUID, draws: Iterable[Draw]
    ) -> None:
        self.session.add_all(
            CreditDraw(
                organization_id=organization_id,
                id=new_id(),
                entry_id=entry_id,
                grant_id=draw.grant_id,
                amount=draw.amount,
            )
            for draw in draws
        )
        await self.session.flush()

    async def get_grant(self, organization_id: OrganizationId, grant_id: UUID) -> CreditGrant:
        return await self.session.get_one(
            CreditGrant, (organization_id, grant_id), populate_existing=True
        )

    async def list_left(
        self, organization_id: OrganizationId, currency: Currency | None = None
    ) -> list[CreditGrant]:
        """Grants with something left, lapsed or not; fresh from the database."""
        query = select(CreditGrant).where(
            CreditGrant.organization_id == organization_id, CreditGrant.remaining > 0
        )
        if currency is not None:
            query = query.where(CreditGrant.currency == str(currency))
        rows = await self.session.scalars(query.execution_options(populate_existing=True))
        return list(rows)

    async def list_named(
        self, organization_id: OrganizationId, grant_ids: Iterable[UUID]
    ) -> list[CreditGrant]:
        rows = await self.session.scalars(
            select(CreditGrant)
            .where(
                CreditGrant.organization_id == organization_id,
                CreditGrant.id.in_(list(grant_ids)),
            )
            .execution_options(populate_existing=True)
        )
        return list(rows)

    async def find_entry(self, organization_id: OrganizationId, cause: str) -> CreditEntry | None:
        return await self.session.scalar(
            select(CreditEntry).where(
                CreditEntry.organization_id == organization_id, CreditEntry.cause == cause
            )
        )

    async def list_entries(
        self, organization_id: OrganizationId, request: PageRequest
    ) -> Page[CreditEntry]:
        query = select(CreditEntry).where(CreditEntry.organization_id == organization_id)
        return await self.page(query, request, CreditEntry.id, lambda row: row.id)

    async def draws_of(
        self, organization_id: OrganizationId, entry_ids: Sequence[UUID]
    ) -> dict[UUID, tuple[Draw, ...]]:
        rows = await self.session.scalars(
            select(CreditDraw)
            .where(
                CreditDraw.organization_id == organization_id, CreditDraw.entry_id.in_(entry_ids)
            )
            .order_by(CreditDraw.id)
        )
        draws: dict[UUID, list[Draw]] = defaultdict(list)
        for row in rows:
            draws[row.entry_id].append(Draw(row.grant_id, row.amount))
        return {entry_id: tuple(found) for entry_id, found in draws.items()}

    async def drawn_for_use(self, organization_id: OrganizationId) -> list[Draw]:
        """What use has of each grant, what it drew on last first."""
        rows = await self.session.execute(
            select(CreditDraw.grant_id, func.sum(CreditDraw.amount))
            .join(
                CreditEntry,
                and_(
                    CreditEntry.organization_id == CreditDraw.organization_id,
                    CreditEntry.id == CreditDraw.entry_id,
                ),
            )
            .where(
                CreditDraw.organization_id == organization_id,
                CreditEntry.cause.startswith(USE_CAUSE),
            )
            .group_by(CreditDraw.grant_id)
            .having(func.sum(CreditDraw.amount) > 0)
            .order_by(func.max(cast(CreditDraw.id, Text)).desc())
        )
        return [Draw(grant_id, int(amount)) for grant_id, amount in rows]

    async def balance(self, organization_id: OrganizationId, currency: Currency) -> int:
        """The sum of the account's entries."""
        found = await self.session.scalar(
            select(func.coalesce(func.sum(CreditEntry.amount), 0)).where(
                CreditEntry.organization_id == organization_id,
                CreditEntry.currency == str(currency),
            )
        )
        return int(found or 0)

    async def accounts_with_lapsed_due(
        self, now: datetime, limit: int
    ) -> list[tuple[OrganizationId, Currency]]:
        """Accounts in which a grant lapsed with something left."""
        rows = await self.session.execute(
            select(CreditGrant.organization_id, CreditGrant.currency)
            .where(CreditGrant.remaining > 0, CreditGrant.expires_at <= now)
            .distinct()
            .limit(limit)
        )
        return [(OrganizationId(one), Currency(currency)) for one, currency in rows]

    async def unwarned_due(
        self, now: datetime, until: datetime, limit: int
    ) -> list[tuple[OrganizationId, UUID]]:
        """Grants that lapse before *until* and that nobody was told of."""
        rows = await self.session.execute(
            select(CreditGrant.organization_id, CreditGrant.id)
            .where(
                CreditGrant.remaining > 0,
                CreditGrant.expires_at > now,
                CreditGrant.expires_at <= until,
                CreditGrant.warned_at.is_(None),
            )
            .limit(limit)
        )
        return [(OrganizationId(one), grant_id) for one, grant_id in rows]

    async def lock_grant(
        self, organization_id: OrganizationId, grant_id: UUID
    ) -> CreditGrant | None:
        return await self.session.scalar(
            select(CreditGrant)
            .where(CreditGrant.organization_id == organization_id, CreditGrant.id == grant_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
