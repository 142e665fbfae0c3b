"""Using codes: asking, holding, redeeming and giving back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import structlog

from app.audit.service import AuditLog
from app.catalog.domain import Interval
from app.catalog.service import CatalogService
from app.discounts import domain
from app.discounts.domain import Channel, Quote, RedemptionState
from app.discounts.errors import CodeUnknown, CodeUsedUp
from app.discounts.models import PromoCode, PromoRedemption
from app.discounts.repository import PromoCodeRepository, RedemptionRepository
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, encode_id, new_id
from app.kernel.money import Money
from app.kernel.pages import Page, PageRequest

log = structlog.get_logger(__name__)

HELD_AT_MOST = timedelta(hours=48)
"""Twice as long as Stripe's payment page is open."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants to use which code for what. *cause* names the purchase: once for each."""

    code: str
    cause: str
    actor: str
    plan: str | None = None
    amount: Money | None = None
    channel: Channel = Channel.INVOICE


class Redeeming:
    """Whoever uses a code holds its row, so the last use goes to one."""

    def __init__(
        self,
        work: UnitOfWork,
        codes: PromoCodeRepository,
        redemptions: RedemptionRepository,
        audit: AuditLog,
        clock: Clock,
        catalogs: CatalogService,
    ) -> None:
        self._work = work
        self._codes = codes
        self._redemptions = redemptions
        self._audit = audit
        self._clock = clock
        self._catalogs = catalogs

    async def quote(
        self,
        organization_id: OrganizationId,
        code: str,
        *,
        plan: str | None = None,
        amount: Money | None = None,
    ) -> Quote:
        """What the code would do to a purchase, or why it does nothing. Changes nothing.

        Without an amount the purchase is a month of the plan.
        """
        if amount is None and plan is not None:
            amount = self._price_of(plan)
        async with self._work.begin(organization_id):
            row = await self._codes.find(code)
            if row is None:
                return Quote(code, CodeUnknown(), None, None, None, amount)
            uses_here = await self._redemptions.count_uses(organization_id, row.id)
        known = row.to_domain()
        refusal = known.refusal(self._clock.now(), uses_here=uses_here, plan=plan, amount=amount)
        terms = known.terms
        if refusal is not None or amount is None:
            return Quote(known.code, refusal, terms.percent, terms.fixed, None, amount)
        off = known.off(amount)
        return Quote(known.code, None, terms.percent, terms.fixed, off, amount - off)

    def _price_of(self, plan: str) -> Money | None:
        sold = self._catalogs.active.plan(plan)
        price = sold.price(Interval.MONTH) if sold is not None else None
        return price.money if price is not None else None

    async def redeem(self, organization_id: OrganizationId, wish: Wish) -> domain.Redemption:
        """Use a code. Again for the same cause answers the first use.

        Raises a kind of `CodeRefused`. It takes something off the organization's next invoices.
        """
        return await self._use(organization_id, wish, RedemptionState.ACTIVE)

    async def hold(self, organization_id: OrganizationId, wish: Wish) -> domain.Redemption:
        """Use a code for a purchase that is still to be paid.

        Joins the unit around it. It counts until it is settled or released.
        """
        return await self._use(organization_id, wish, RedemptionState.HELD)

    async def knows(self, code: str) -> bool:
        """Whether the code is one of ours."""
        async with self._work.begin_platform():
            return await self._codes.find(code) is not None

    async def told_as(self, code: str) -> str | None:
        """Stripe's id of a code of ours, once Stripe has been told of it."""
        async with self._work.begin_platform():
            found = await self._codes.find(code)
            return found.stripe_promotion_code_id if found is not None else None

    async def settle(self, organization_id: OrganizationId, cause: str) -> None:
        """The purchase was paid. Repeating is fine; what was released meanwhile counts again."""
        async with self._work.begin(organization_id):
            for row in await self._redemptions.list_for_cause(organization_id, cause):
                if row.state == RedemptionState.RELEASED.value and not await self._codes.count_use(
                    row.promo_code_id
                ):
                    # Paid with it all the same; who comes next finds it used up.
                    continue
                row.state = RedemptionState.ACTIVE.value

    async def note_typed(
        self, organization_id: OrganizationId, stripe_promotion_code_id: str, cause: str
    ) -> None:
        """A code of ours was typed on Stripe's page and taken off there; once for its cause.

        Stripe has its own count of uses and cannot know of ours: one too many is logged, because
        the customer was billed less already.
        """
        async with self._work.begin(organization_id):
            found = await self._codes.find_told_as(stripe_promotion_code_id)
            if found is None:
                return
            code = await self._codes.claim(found.id)
            if await self._redemptions.find(organization_id, code.id, cause) is not None:
                return
            if not await self._codes.count_use(code.id):
                log.warning("discounts.used_once_too_often", code=code.code, cause=cause)
                return
            wish = Wish(code.code, cause, "stripe", channel=Channel.STRIPE)
            await self._redemptions.add(
                self._new(organization_id, code, wish, RedemptionState.ACTIVE)
            )

    async def release(self, organization_id: OrganizationId, cause: str) -> None:
        """The purchase came to nothing: its use comes back. Repeating is fine."""
        async with self._work.begin(organization_id):
            for row in await self._redemptions.list_for_cause(organization_id, cause):
                if row.state == RedemptionState.HELD.value:
                    row.state = RedemptionState.RELEASED.value
                    await self._codes.uncount_use(row.promo_code_id)

    async def release_forgotten(self) -> int:
        """Give back uses whose payment page cannot be open any more; answers how many."""
        before = self._clock.now() - HELD_AT_MOST
        async with self._work.begin_platform():
            due = await self._redemptions.list_held_before_due(before, 500)
        for organization_id, cause in due:
            await self.release(organization_id, cause)
        return len(due)

    async def list(
        self, organization_id: OrganizationId, request: PageRequest
    ) -> Page[domain.Redemption]:
        """The codes that an organization used, the latest first."""
        async with self._work.begin(organization_id):
            page = await self._redemptions.list_for_organization(organization_id, request)
            return page.map(lambda row: row.to_domain())

    async def _use(
        self, organization_id: OrganizationId, wish: Wish, state: RedemptionState
    ) -> domain.Redemption:
        async with self._work.begin(organization_id):
            found = await self._codes.find(wish.code)
            if found is None:
                raise CodeUnknown
            code = await self._codes.claim(found.id)
            known = await self._redemptions.find(organization_id, code.id, wish.cause)
            if known is not None and known.state != RedemptionState.RELEASED.value:
                return known.to_domain()
            await self._require_usable(organization_id, code, wish)
            if not await self._codes.count_use(code.id):
                raise CodeUsedUp
            if known is not None:
                known.state = state.value
                return known.to_domain()
            row = self._new(organization_id, code, wish, state)
            await self._redemptions.add(row)
            self._audit.record(
                "promo_codes.redeemed",
                encode_id("prm", code.id),
                organization_id=organization_id,
                after={"code": code.code, "cause": wish.cause, "discount": row.discount_amount},
                actor=wish.actor,
            )
            return row.to_domain()

    async def _require_usable(
        self, organization_id: OrganizationId, code: PromoCode, wish: Wish
    ) -> None:
        uses_here = await self._redemptions.count_uses(organization_id, code.id)
        refusal = code.to_domain().refusal(
            self._clock.now(), uses_here=uses_here, plan=wish.plan, amount=wish.amount
        )
        if refusal is not None:
            raise refusal

    def _new(
        self,
        organization_id: OrganizationId,
        code: PromoCode,
        wish: Wish,
        state: RedemptionState,
    ) -> PromoRedemption:
        off = code.to_domain().off(wish.amount) if wish.amount else None
        return PromoRedemption(
            organization_id=organization_id,
            id=new_id(),
            promo_code_id=code.id,
            code=code.code,
            cause=wish.cause,
            channel=wish.channel.value,
            state=state.value,
            actor=wish.actor,
            purchase_amount=wish.amount.minor if wish.amount else None,
            discount_amount=off.minor if off else None,
            currency=str(wish.amount.currency) if wish.amount else None,
            periods=code.periods,
            periods_used=0,
            redeemed_at=self._clock.now(),
        )
