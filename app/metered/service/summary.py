"""What has been used of everything that is metered, and how much of it Stripe has counted."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from app.gateways.stripe.metering import MeteringGateway
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.errors import BillingError
from app.kernel.ids import OrganizationId
from app.metered.domain import (
    FEED,
    TO_LOOK_AT,
    BatchState,
    Enrolment,
    MeteredSummary,
    MeteredUse,
)
from app.metered.repository import BatchRepository, EnrolmentRepository
from app.metered.service.collection import used_of
from app.metered.service.enrolments import Enrolments
from app.subscriptions.service import SubscriptionService
from app.usage.service.feeds import UsageFeeds

_AHEAD = timedelta(minutes=5)


class MeteredSummaries:
    """Ours is exact to the last committed event; Stripe's comes later."""

    def __init__(
        self,
        work: UnitOfWork,
        feeds: UsageFeeds,
        batches: BatchRepository,
        enrolments: EnrolmentRepository,
        who: Enrolments,
        subscriptions: SubscriptionService,
        stripe: MeteringGateway,
        clock: Clock,
    ) -> None:
        self._work = work
        self._feeds = feeds
        self._batches = batches
        self._enrolments = enrolments
        self._who = who
        self._subscriptions = subscriptions
        self._stripe = stripe
        self._clock = clock

    async def of(self, organization_id: OrganizationId) -> MeteredSummary:
        """The current period. Without a metered plan there is nothing in it."""
        now = self._clock.now()
        period = (await self._subscriptions.current(organization_id)).period
        async with self._work.begin(organization_id):
            # One moment of the database, or an event could be seen as waiting and as collected.
            await self._batches.hold_still_for_platform()
            running = await self._enrolments.find_open(organization_id)
            if running is None:
                return MeteredSummary(period, None, (), now)
            enrolment = running.to_domain()
            since = period.start if period is not None else enrolment.since
            sums = await self._batches.sum_by_state(organization_id, since)
            waiting = [
                used_of(event, self._who.metrics)
                for event in await self._feeds.waiting_events(FEED, organization_id)
                if event.voided_at is None and enrolment.covers(event.occurred_at)
            ]
        uses = []
        for metric, price_id in sorted(enrolment.prices.items()):
            uncollected = sum((one.of(metric) for one in waiting), Decimal(0))

            def of(*states: BatchState, metric: str = metric) -> Decimal:
                return sum(
                    (sums.get((metric, one.value), Decimal(0)) for one in states), Decimal(0)
                )

            reported = of(BatchState.SENT)
            to_come = of(BatchState.PENDING) + uncollected
            unreportable = of(*TO_LOOK_AT)
            uses.append(
                MeteredUse(
                    metric=metric,
                    stripe_price_id=price_id,
                    total_usage=reported + to_come + unreportable,
                    reported=reported,
                    waiting=to_come,
                    unreportable=unreportable,
                    stripe_usage=await self._at_stripe(enrolment, price_id, since, now),
                )
            )
        return MeteredSummary(period, enrolment.since, tuple(uses), now)

    async def _at_stripe(
        self, enrolment: Enrolment, price_id: str, since: datetime, until: datetime
    ) -> Decimal | None:
        try:
            meter = await self._stripe.find_meter_of(price_id)
            if meter is None:
                return None
            return await self._stripe.total(
                meter, enrolment.stripe_customer_id, since, until + _AHEAD
            )
        except BillingError:
            # The figures of our own stand without it.
            return None
