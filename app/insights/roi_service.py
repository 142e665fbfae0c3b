"""The figures of an organization that its return on investment is worked out from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from app.insights.roi import Effort, Period, Roi, months, roi
from app.kernel.ids import OrganizationId
from app.kernel.money import Currency, Money
from app.kernel.rates import EXACT
from app.subscriptions.service import SubscriptionService
from app.usage.service.usage import UsageService

_MONTHS = {"month": Decimal(1), "year": Decimal(12)}


@dataclass(frozen=True, slots=True)
class Given:
    """What the caller would rather say than have looked up."""

    debates: int | None = None
    usage_cost: Decimal | None = None
    subscription_cost: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The result, and what it was worked out from."""

    roi: Roi
    period: Period
    since: datetime
    until: datetime
    unpriced_events: int


class RoiService:
    """Only reads."""

    def __init__(self, usage: UsageService, subscriptions: SubscriptionService) -> None:
        self._usage = usage
        self._subscriptions = subscriptions

    async def compare(
        self,
        organization_id: OrganizationId,
        effort: Effort,
        since: datetime | None,
        until: datetime | None,
        given: Given,
    ) -> Answer:
        """Debates of `[since, until)`, or of the current window, against deciding by hand."""
        summary = await self._usage.summary(organization_id, since, until)
        stretch = summary.period
        seconds = Decimal((stretch.end - stretch.start).total_seconds())
        debates = summary.by_type.get("debate")
        fee = given.subscription_cost
        if fee is None:
            fee = await self._fee(organization_id, months(stretch.start, stretch.end))
        period = Period(
            debates=given.debates
            if given.debates is not None
            else int(debates.quantity if debates else 0),
            hours=seconds / 3600,
            usage_cost=summary.total.cost_usd if given.usage_cost is None else given.usage_cost,
            subscription_cost=fee,
        )
        return Answer(
            roi(effort, period), period, stretch.start, stretch.end, summary.total.unpriced
        )

    async def _fee(self, organization_id: OrganizationId, lasts: Decimal) -> Decimal:
        """The plan's fee for so many months; a fee in another currency is not known."""
        held = await self._subscriptions.current(organization_id)
        if held.amount is None or held.currency != "usd":
            return Decimal(0)
        fee = Money(held.amount, Currency(held.currency)).major
        return EXACT.divide(fee * lasts, _MONTHS[held.interval or "month"])
