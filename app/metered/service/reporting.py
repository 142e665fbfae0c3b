"""Telling Stripe: each batch as often as it takes, counted once."""

from __future__ import annotations

from datetime import timedelta

import structlog

from app.gateways.stripe.errors import StripeMissing, StripeRefused
from app.gateways.stripe.metering import MeteringGateway, MeterReport, StripeMeter
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.errors import BillingError, Unavailable
from app.kernel.ids import OrganizationId
from app.metered.domain import (
    Batch,
    BatchState,
    hour_of,
    identifier_may_be_forgotten,
    is_too_old,
    told_as,
)
from app.metered.repository import BatchRepository
from app.sinks.service.attempts import Attempts
from app.subscriptions.service import SubscriptionService

log = structlog.get_logger(__name__)

STRIPE = "stripe"
LEASE = timedelta(minutes=5)
_AT_ONCE = 20
_REASON_LETTERS = 500


class UsageReporter:
    """Sends batches one after the other: Stripe advises one call at a time for each customer.

    Three beats: lease, call, settle. A crash between call and settle tells the batch again, and
    Stripe knows it by its identifier.
    """

    def __init__(
        self,
        work: UnitOfWork,
        batches: BatchRepository,
        attempts: Attempts,
        subscriptions: SubscriptionService,
        stripe: MeteringGateway,
        clock: Clock,
        *,
        is_configured: bool,
    ) -> None:
        self._work = work
        self._batches = batches
        self._attempts = attempts
        self._subscriptions = subscriptions
        self._stripe = stripe
        self._clock = clock
        self._is_configured = is_configured
        # A price keeps its meter for good; a meter keeps its name.
        self._meters: dict[str, StripeMeter] = {}

    async def send(self) -> int:
        """Tell what is due; says how many batches Stripe has taken."""
        if not self._is_configured or not await self._attempts.is_due(STRIPE):
            return 0
        sent = 0
        while claimed := await self._claim():
            for place, batch in enumerate(claimed):
                try:
                    sent += await self._tell(batch)
                except Unavailable as failure:
                    await self._put_off(claimed[place:])
                    await self._attempts.failed(STRIPE, failure)
                    return sent
            async with self._work.begin_platform():
                await self._attempts.succeeded(STRIPE)
        return sent

    async def _claim(self) -> list[Batch]:
        now = self._clock.now()
        async with self._work.begin_platform():
            rows = await self._batches.claim_due(now, now + LEASE, _AT_ONCE)
            return [row.to_domain() for row in rows]

    async def _tell(self, batch: Batch) -> int:
        now = self._clock.now()
        if is_too_old(batch.occurred_at, now):
            await self._end(batch, BatchState.TOO_OLD, "older than 35 days")
            return 0
        if identifier_may_be_forgotten(batch.first_attempt_at, now):
            return await self._find_out(batch)
        try:
            meter = await self._meter(batch.stripe_price_id)
            report = await self._prepare(batch)
            await self._stripe.send(meter, report)
        except Unavailable:
            raise
        except BillingError as refusal:
            await self._end(batch, BatchState.REFUSED, _why(refusal))
            return 0
        async with self._work.begin(batch.organization_id):
            await self._batches.settle(
                batch.organization_id, batch.id, BatchState.SENT, sent_at=self._clock.now()
            )
        return 1

    async def _prepare(self, batch: Batch) -> MeterReport:
        """Fix as of when it is told, before the first attempt: repeats are to say the same."""
        now = self._clock.now()
        at = batch.told_as
        if at is None:
            period = (await self._subscriptions.current(batch.organization_id)).period
            at = told_as(batch.occurred_at, period, now)
        async with self._work.begin(batch.organization_id):
            await self._batches.note_attempt(batch.organization_id, batch.id, at, now)
        return MeterReport(batch.identifier, batch.stripe_customer_id, batch.quantity, at)

    async def _meter(self, price_id: str) -> StripeMeter:
        if price_id not in self._meters:
            found = await self._stripe.find_meter_of(price_id)
            if found is None:
                raise StripeMissing(parameter="meter")
            self._meters[price_id] = found
        return self._meters[price_id]

    async def _find_out(self, batch: Batch) -> int:
        """Whether Stripe counted a batch whose answer was lost a day ago, by its own sums."""
        meter = await self._meter(batch.stripe_price_id)
        hour = hour_of(batch.told_as or batch.occurred_at)
        end = hour + timedelta(hours=1)
        theirs = await self._stripe.total(meter, batch.stripe_customer_id, hour, end)
        async with self._work.begin(batch.organization_id):
            ours = await self._batches.sum_sent(batch.organization_id, batch.metric, hour, end)
            if theirs == ours + batch.quantity:
                await self._batches.settle(
                    batch.organization_id, batch.id, BatchState.SENT, sent_at=self._clock.now()
                )
                return 1
            if theirs == ours:
                row = await self._batches.find_for_platform(batch.id, lock=True)
                if row is not None and await self._batches.settle(
                    batch.organization_id, batch.id, BatchState.REJECTED, failure="never arrived"
                ):
                    await self._batches.replace(batch.organization_id, row, self._clock.now())
                return 0
        await self._end(batch, BatchState.UNCERTAIN, f"ours {ours}, Stripe's {theirs} in that hour")
        return 0

    async def _end(self, batch: Batch, state: BatchState, why: str) -> None:
        async with self._work.begin(batch.organization_id):
            await self._batches.settle(
                batch.organization_id, batch.id, state, failure=why[:_REASON_LETTERS]
            )
        log.error(
            "metered.not_sent",
            state=state.value,
            organization_id=str(batch.organization_id),
            metric=batch.metric,
            quantity=str(batch.quantity),
            batch_id=str(batch.id),
            reason=why,
        )

    async def _put_off(self, rest: list[Batch]) -> None:
        """Leave what was leased and not told to whoever comes next."""
        by_organization: dict[OrganizationId, list[Batch]] = {}
        for batch in rest:
            by_organization.setdefault(batch.organization_id, []).append(batch)
        for organization_id, batches in by_organization.items():
            async with self._work.begin(organization_id):
                await self._batches.put_off(
                    organization_id, [batch.id for batch in batches], self._clock.now()
                )


def _why(refusal: BillingError) -> str:
    if isinstance(refusal, StripeRefused):
        return refusal.reason or refusal.stripe_code or refusal.code
    return refusal.message
