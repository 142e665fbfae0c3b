"""Putting recorded events into batches, each event into one, once."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from app.catalog.domain import Aggregation, Measure, Metric
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId
from app.metered.domain import FEED, Used, portions
from app.metered.repository import BatchRepository, EnrolmentRepository
from app.metered.service.enrolments import Enrolments
from app.usage.models import UsageEvent
from app.usage.service.feeds import FeedKind, UsageFeeds

_PAGE = 2_000


class UsageCollector:
    """Reads the notes that recording leaves in its own commit (decision 0214).

    Notes go and batches come in one transaction, so a crash leaves either. Nothing is sent here.
    """

    def __init__(
        self,
        work: UnitOfWork,
        feeds: UsageFeeds,
        batches: BatchRepository,
        enrolments: EnrolmentRepository,
        who: Enrolments,
        clock: Clock,
        *,
        is_configured: bool,
    ) -> None:
        self._work = work
        self._feeds = feeds
        self._batches = batches
        self._enrolments = enrolments
        self._who = who
        self._clock = clock
        self._is_configured = is_configured

    async def collect(self) -> int:
        """Take in what was recorded since the last time; says how many batches it made."""
        if not self._is_configured or not self._who.anybody_can_be:
            await self._feeds.end_if_abandoned(FEED)
            return 0
        if await self._feeds.begin(FEED, FeedKind.EVENTS) is None:
            return 0
        made = 0
        while (some := await self._collect_some()) is not None:
            made += some
        return made

    async def _collect_some(self) -> int | None:
        async with self._work.begin_platform():
            await self._batches.lock_collection_for_platform()
            notes = await self._feeds.claim(FEED)
            if notes is None:
                return None
            enrolments = await self._enrolments.list_many_for_platform(
                {organization_id for organization_id, _ in notes.events}
            )
            named = [pair for pair in notes.events if pair[0] in enrolments]
            metrics = self._who.metrics
            used: list[Used] = []
            for start in range(0, len(named), _PAGE):
                events = await self._feeds.events(named[start : start + _PAGE])
                used += [used_of(event, metrics) for event in events if event.voided_at is None]
            made = 0
            for portion in portions(used, enrolments):
                made += await self._batches.add_portion(
                    portion.enrolment.organization_id, portion, self._clock.now()
                )
            await self._feeds.settle(notes)
            return made


def used_of(event: UsageEvent, metrics: Mapping[str, Metric]) -> Used:
    """What an event counts. Metrics that count every event are not written down on each."""
    everything = {
        metric.key: str(_measured(event, metric))
        for metric in metrics.values()
        if metric.counts_every_event
    }
    return Used(
        organization_id=OrganizationId(event.organization_id),
        event_id=event.id,
        occurred_at=event.occurred_at,
        window_start=event.window_start,
        counted={**everything, **event.counted},
    )


def _measured(event: UsageEvent, metric: Metric) -> Decimal:
    if metric.aggregation is Aggregation.COUNT:
        return Decimal(1)
    match metric.measure:
        case Measure.TOKENS_IN:
            return Decimal(event.tokens_in)
        case Measure.TOKENS_OUT:
            return Decimal(event.tokens_out)
        case Measure.TOKENS:
            return Decimal(event.tokens_in + event.tokens_out)
        case Measure.QUANTITY:
            return event.quantity
