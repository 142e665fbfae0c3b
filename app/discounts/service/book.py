"""What invoices ask of discounts; fulfils their `DiscountBook`. Every method joins their unit."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from app.discounts.domain import VOLUME_CURRENCY, volume_standing
from app.discounts.models import DiscountedInvoice, PromoRedemption
from app.discounts.repository import PromoCodeRepository, RedemptionRepository
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, new_id
from app.kernel.money import Money
from app.kernel.rates import plain
from app.kernel.settling import Discount, DiscountStage, DiscountTaken, Purchase


class DiscountsOfInvoices:
    """Codes that were redeemed for our own invoices, and the volume discount."""

    def __init__(
        self,
        work: UnitOfWork,
        codes: PromoCodeRepository,
        redemptions: RedemptionRepository,
        clock: Clock,
    ) -> None:
        self._work = work
        self._codes = codes
        self._redemptions = redemptions
        self._clock = clock

    async def for_invoice(
        self, organization_id: OrganizationId, purchase: Purchase
    ) -> Sequence[Discount]:
        """What comes off: every code that was redeemed and has periods left, then volume.

        A code of another plan, of another currency or for a larger purchase waits for an invoice
        that it fits; one that has expired since it was redeemed still holds.
        """
        async with self._work.begin(organization_id):
            rows = await self._redemptions.list_to_take_off(organization_id)
            found = [await self._promo(row, purchase) for row in rows]
        discounts = [discount for discount in found if discount is not None]
        if purchase.paid_before.currency == VOLUME_CURRENCY:
            standing = volume_standing(purchase.paid_before)
            if standing.current is not None:
                name = f"Volume discount {plain(standing.percent)} %"
                discounts.append(Discount(name, DiscountStage.VOLUME, percent=standing.percent))
        return discounts

    async def redeem(
        self, organization_id: OrganizationId, invoice_id: UUID, taken: Sequence[DiscountTaken]
    ) -> None:
        """Use up a period of every code that took something off; once for each invoice."""
        async with self._work.begin(organization_id):
            for each in taken:
                if each.discount.reference is None or not each.amount:
                    continue
                await self._redemptions.take_off(
                    organization_id,
                    self._taken(organization_id, each.discount.reference, invoice_id, each.amount),
                )

    async def note_elsewhere(
        self, organization_id: OrganizationId, invoice_id: UUID, amount: Money
    ) -> None:
        """An invoice of Stripe's was paid with *amount* off: a period of the code that Stripe
        takes off is used; once for each invoice."""
        async with self._work.begin(organization_id):
            if await self._redemptions.was_taken_off(organization_id, invoice_id):
                return
            row = await self._redemptions.find_at_stripe(organization_id)
            if row is not None:
                await self._redemptions.take_off(
                    organization_id, self._taken(organization_id, row.id, invoice_id, amount)
                )

    async def release(self, organization_id: OrganizationId, invoice_id: UUID) -> None:
        """The invoice is void: the periods that it had used come back; once."""
        async with self._work.begin(organization_id):
            await self._redemptions.put_back(organization_id, invoice_id)

    def _taken(
        self,
        organization_id: OrganizationId,
        redemption_id: UUID,
        invoice_id: UUID,
        amount: Money,
    ) -> DiscountedInvoice:
        return DiscountedInvoice(
            organization_id=organization_id,
            id=new_id(),
            redemption_id=redemption_id,
            invoice_id=invoice_id,
            amount=amount.minor,
            currency=str(amount.currency),
            taken_at=self._clock.now(),
        )

    async def _promo(self, row: PromoRedemption, purchase: Purchase) -> Discount | None:
        terms = (await self._codes.get(row.promo_code_id)).terms
        fits = (
            (not terms.plans or purchase.plan in terms.plans)
            and _is_in(terms.fixed, purchase.subtotal)
            and _is_in(terms.minimum, purchase.subtotal)
            and (terms.minimum is None or terms.minimum <= purchase.subtotal)
        )
        if not fits:
            return None
        return Discount(
            f"Promo code {row.code}",
            DiscountStage.PROMO,
            fixed=terms.fixed,
            percent=terms.percent,
            reference=row.id,
        )


def _is_in(money: Money | None, of: Money) -> bool:
    return money is None or money.currency == of.currency
