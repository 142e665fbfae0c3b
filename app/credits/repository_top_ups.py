"""Top-ups and the settings of automatic ones, in and out of the database."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert

from app.credits.domain import TopUpKind, TopUpState
from app.credits.models import AutoTopUpSettings, TopUp
from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId
from app.kernel.money import Currency
from app.kernel.pages import Page, PageRequest

_UNDERWAY = (TopUpState.RESERVED.value, TopUpState.OPEN.value)
_LOW = text("""
    select s.organization_id
    from auto_top_ups s
    where s.is_on and (cast(:after as uuid) is null or s.organization_id > :after)
        and not exists (
            select from credit_top_ups t where t.organization_id = s.organization_id
                and t.kind = 'automatic' and t.state in ('reserved', 'open')
        )
        and (s.threshold > (
            select coalesce(sum(g.remaining), 0) from credit_grants g
            where g.organization_id = s.organization_id and g.currency = s.currency
                and g.remaining > 0 and (g.expires_at is null or g.expires_at > :now)
        ) or exists (
            select from credit_accounts a where a.organization_id = s.organization_id
                and a.currency = s.currency and a.is_used
        ))
    order by s.organization_id
    limit :limit
""")


class TopUpRepository(Repository):
    """Locks are taken in this order: top-up, settings, account."""

    async def find_settings(self, organization_id: OrganizationId) -> AutoTopUpSettings | None:
        return await self.session.scalar(
            select(AutoTopUpSettings).where(AutoTopUpSettings.organization_id == organization_id)
        )

    async def claim_settings(self, organization_id: OrganizationId) -> AutoTopUpSettings | None:
        """The settings, held by this unit until it ends."""
        return await self.session.scalar(
            select(AutoTopUpSettings)
            .where(AutoTopUpSettings.organization_id == organization_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )

    async def add_settings(
        self, organization_id: OrganizationId, settings: AutoTopUpSettings
    ) -> None:
        """Write the settings down, unless somebody else just has."""
        await self._insert(organization_id, settings)

    async def reserve(self, organization_id: OrganizationId, wanted: TopUp) -> bool:
        """Write *wanted* down, unless one of its kind is underway: of two at once one is."""
        return await self._insert(organization_id, wanted)

    async def claim(self, organization_id: OrganizationId, top_up_id: UUID) -> TopUp | None:
        """A top-up, held by this unit until it ends."""
        return await self.session.scalar(
            select(TopUp)
            .where(TopUp.organization_id == organization_id, TopUp.id == top_up_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )

    async def claim_paid_with(
        self, organization_id: OrganizationId, stripe_invoice_id: str
    ) -> TopUp | None:
        """The top-up that an invoice of Stripe's has paid, held by this unit until it ends."""
        return await self.session.scalar(
            select(TopUp)
            .where(
                TopUp.organization_id == organization_id,
                TopUp.stripe_invoice_id == stripe_invoice_id,
                TopUp.state == TopUpState.PAID.value,
            )
            .with_for_update()
            .execution_options(populate_existing=True)
        )

    async def find(self, organization_id: OrganizationId, top_up_id: UUID) -> TopUp | None:
        return await self.session.get(TopUp, (organization_id, top_up_id), populate_existing=True)

    async def find_underway(self, organization_id: OrganizationId, kind: TopUpKind) -> TopUp | None:
        return await self.session.scalar(
            select(TopUp)
            .where(
                TopUp.organization_id == organization_id,
                TopUp.kind == kind.value,
                TopUp.state.in_(_UNDERWAY),
            )
            .execution_options(populate_existing=True)
        )

    async def bought(self, organization_id: OrganizationId, currency: Currency, month: date) -> int:
        """What was topped up by itself in a month, and what is underway, in minor units."""
        found = await self.session.scalar(
            select(func.coalesce(func.sum(TopUp.amount), 0)).where(
                TopUp.organization_id == organization_id,
                TopUp.kind == TopUpKind.AUTOMATIC.value,
                TopUp.currency == str(currency),
                TopUp.month == month,
                TopUp.state != TopUpState.VOID.value,
            )
        )
        return int(found or 0)

    async def list_for_organization(
        self, organization_id: OrganizationId, request: PageRequest
    ) -> Page[TopUp]:
        query = select(TopUp).where(TopUp.organization_id == organization_id)
        return await self.page(query, request, TopUp.id, lambda row: row.id)

    async def list_underway_for_platform(
        self, after: UUID | None, limit: int
    ) -> list[tuple[OrganizationId, UUID]]:
        """Everything that is neither paid nor void, by id, from *after* on."""
        query = select(TopUp.organization_id, TopUp.id).where(TopUp.state.in_(_UNDERWAY))
        if after is not None:
            query = query.where(TopUp.id > after)
        rows = await self.session.execute(query.order_by(TopUp.id).limit(limit))
        return [(OrganizationId(owner), found) for owner, found in rows]

    async def list_low_for_platform(
        self, after: OrganizationId | None, now: datetime, limit: int
    ) -> list[OrganizationId]:
        """Whose credit is below their threshold with nothing underway, from *after* on.

        Also who may be without any entry saying so, because calls to models are paid from it.
        """
        rows = await self.session.scalars(_LOW, {"after": after, "now": now, "limit": limit})
        return [OrganizationId(found) for found in rows]

    async def _insert(
        self, organization_id: OrganizationId, row: AutoTopUpSettings | TopUp
    ) -> bool:
        values = {column.key: getattr(row, column.key) for column in row.__table__.columns}
        values["organization_id"] = organization_id
        done = await self.session.execute(
            insert(type(row)).values(values).on_conflict_do_nothing().returning(type(row).id)
        )
        return done.one_or_none() is not None
