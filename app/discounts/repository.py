"""Codes and their uses, in and out of the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from app.discounts.domain import Channel, RedemptionState
from app.discounts.errors import PromoCodeNotFound
from app.discounts.models import DiscountedInvoice, PromoCode, PromoRedemption
from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId
from app.kernel.pages import Page, PageRequest

# Made once: making it costs more than asking, and every invoice asks.
_TO_TAKE_OFF = (
    select(PromoRedemption)
    .where(
        PromoRedemption.organization_id == bindparam("organization_id"),
        PromoRedemption.channel == Channel.INVOICE.value,
        PromoRedemption.state == RedemptionState.ACTIVE.value,
        or_(
            PromoRedemption.periods.is_(None),
            PromoRedemption.periods_used < PromoRedemption.periods,
        ),
    )
    .order_by(PromoRedemption.id)
)


def key_of(code: str) -> str:
    """A code without regard to case."""
    return code.strip().casefold()


class PromoCodeRepository(Repository):
    """The codes themselves."""

    platform = True

    async def add(self, code: PromoCode) -> None:
        self.session.add(code)
        await self.session.flush()

    async def get(self, code_id: UUID) -> PromoCode:
        """Raises `PromoCodeNotFound`."""
        found = await self.session.get(PromoCode, code_id, populate_existing=True)
        if found is None:
            raise PromoCodeNotFound
        return found

    async def claim(self, code_id: UUID) -> PromoCode:
        """The code, held by this unit until it ends. Raises `PromoCodeNotFound`."""
        found = await self.session.get(
            PromoCode, code_id, with_for_update=True, populate_existing=True
        )
        if found is None:
            raise PromoCodeNotFound
        return found

    async def find(self, code: str) -> PromoCode | None:
        return await self.session.scalar(
            select(PromoCode).where(PromoCode.code_key == key_of(code))
        )

    async def find_told_as(self, stripe_promotion_code_id: str) -> PromoCode | None:
        return await self.session.scalar(
            select(PromoCode).where(PromoCode.stripe_promotion_code_id == stripe_promotion_code_id)
        )

    async def count_use(self, code_id: UUID) -> bool:
        """Count one more use unless that is one too many; the row stays held to the commit."""
        counted = await self.session.execute(
            update(PromoCode)
            .where(
                PromoCode.id == code_id,
                or_(PromoCode.max_uses.is_(None), PromoCode.uses < PromoCode.max_uses),
            )
            .values(uses=PromoCode.uses + 1)
            .returning(PromoCode.id)
        )
        return counted.first() is not None

    async def uncount_use(self, code_id: UUID) -> None:
        await self.session.execute(
            update(PromoCode).where(PromoCode.id == code_id).values(uses=PromoCode.uses - 1)
        )

    async def list_all(self, request: PageRequest) -> Page[PromoCode]:
        return await self.page(select(PromoCode), request, PromoCode.id, lambda row: row.id)

    async def list_out_of_step(self, limit: int) -> Sequence[PromoCode]:
        """Codes that Stripe has otherwise than they are here."""
        rows = await self.session.scalars(
            select(PromoCode)
            .where(PromoCode.stripe_is_active.is_distinct_from(PromoCode.is_active))
            .order_by(PromoCode.id)
            .limit(limit)
        )
        return rows.all()


class RedemptionRepository(Repository):
    """Who used which code."""

    async def add(self, redemption: PromoRedemption) -> None:
        self.session.add(redemption)
        await self.session.flush()

    async def find(
        self, organization_id: OrganizationId, promo_code_id: UUID, cause: str
    ) -> PromoRedemption | None:
        return await self.session.scalar(
            select(PromoRedemption).where(
                PromoRedemption.organization_id == organization_id,
                PromoRedemption.promo_code_id == promo_code_id,
                PromoRedemption.cause == cause,
            )
        )

    async def list_for_cause(
        self, organization_id: OrganizationId, cause: str
    ) -> list[PromoRedemption]:
        rows = await self.session.scalars(
            select(PromoRedemption)
            .where(
                PromoRedemption.organization_id == organization_id,
                PromoRedemption.cause == cause,
            )
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        return list(rows)

    async def count_uses(self, organization_id: OrganizationId, promo_code_id: UUID) -> int:
        found = await self.session.scalar(
            select(func.count())
            .select_from(PromoRedemption)
            .where(
                PromoRedemption.organization_id == organization_id,
                PromoRedemption.promo_code_id == promo_code_id,
                PromoRedemption.state != RedemptionState.RELEASED.value,
            )
        )
        return found or 0

    async def list_for_organization(
        self, organization_id: OrganizationId, request: PageRequest
    ) -> Page[PromoRedemption]:
        query = select(PromoRedemption).where(PromoRedemption.organization_id == organization_id)
        return await self.page(query, request, PromoRedemption.id, lambda row: row.id)

    async def list_to_take_off(self, organization_id: OrganizationId) -> list[PromoRedemption]:
        """Uses that still take something off our own invoices, the oldest first."""
        rows = await self.session.scalars(_TO_TAKE_OFF, {"organization_id": organization_id})
        return list(rows)

    async def was_taken_off(self, organization_id: OrganizationId, invoice_id: UUID) -> bool:
        """Whether a period was counted for the invoice."""
        found = await self.session.scalar(
            select(DiscountedInvoice.id)
            .where(
                DiscountedInvoice.organization_id == organization_id,
                DiscountedInvoice.invoice_id == invoice_id,
            )
            .limit(1)
        )
        return found is not None

    async def find_at_stripe(self, organization_id: OrganizationId) -> PromoRedemption | None:
        """The use that Stripe takes off now: the latest of its channel with a period left."""
        found: PromoRedemption | None = await self.session.scalar(
            select(PromoRedemption)
            .where(
                PromoRedemption.organization_id == organization_id,
                PromoRedemption.channel == Channel.STRIPE.value,
                PromoRedemption.state != RedemptionState.RELEASED.value,
                or_(
                    PromoRedemption.periods.is_(None),
                    PromoRedemption.periods_used < PromoRedemption.periods,
                ),
            )
            .order_by(PromoRedemption.id.desc())
            .limit(1)
        )
        return found

    async def take_off(
        self,
        organization_id: OrganizationId,
        discounted: DiscountedInvoice,
    ) -> None:
        """Note what a redemption took off an invoice, and use up a period of it; once."""
        values = {
            column.key: getattr(discounted, column.key)
            for column in DiscountedInvoice.__table__.columns
        }
        noted = await self.session.execute(
            insert(DiscountedInvoice)
            .values(values)
            .on_conflict_do_nothing(
                index_elements=["organization_id", "invoice_id", "redemption_id"]
            )
            .returning(DiscountedInvoice.id)
        )
        if noted.first() is not None:
            await self._count_period(organization_id, discounted.redemption_id, 1)

    async def put_back(self, organization_id: OrganizationId, invoice_id: UUID) -> None:
        """Give redemptions back the period that an invoice had used; once."""
        gone = await self.session.scalars(
            delete(DiscountedInvoice)
            .where(
                DiscountedInvoice.organization_id == organization_id,
                DiscountedInvoice.invoice_id == invoice_id,
            )
            .returning(DiscountedInvoice.redemption_id)
        )
        for redemption_id in gone.all():
            await self._count_period(organization_id, redemption_id, -1)

    async def _count_period(
        self, organization_id: OrganizationId, redemption_id: UUID, periods: int
    ) -> None:
        await self.session.execute(
            update(PromoRedemption)
            .where(
                PromoRedemption.organization_id == organization_id,
                PromoRedemption.id == redemption_id,
            )
            .values(periods_used=PromoRedemption.periods_used + periods)
        )

    async def list_held_before_due(
        self, before: datetime, limit: int
    ) -> list[tuple[OrganizationId, str]]:
        """Uses that a payment page has held for too long to be open any more."""
        rows = await self.session.execute(
            select(PromoRedemption.organization_id, PromoRedemption.cause)
            .where(
                PromoRedemption.state == RedemptionState.HELD.value,
                PromoRedemption.redeemed_at < before,
            )
            .limit(limit)
        )
        return [(OrganizationId(one), cause) for one, cause in rows]
