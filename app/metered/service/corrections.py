"""Taking back from Stripe what was voided here after it had been put into a batch."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId
from app.metered.repository import BatchRepository, EnrolmentRepository
from app.metered.service.collection import used_of
from app.metered.service.enrolments import Enrolments
from app.usage.service.feeds import UsageFeeds


class MeteredCorrections:
    """A voided event becomes batches of the same quantities below zero, once.

    Stripe adds those up with the rest; what it bills never goes below nothing. One that was
    voided before it was collected is in no batch and needs none.
    """

    def __init__(
        self,
        work: UnitOfWork,
        feeds: UsageFeeds,
        batches: BatchRepository,
        enrolments: EnrolmentRepository,
        who: Enrolments,
        clock: Clock,
    ) -> None:
        self._work = work
        self._feeds = feeds
        self._batches = batches
        self._enrolments = enrolments
        self._who = who
        self._clock = clock

    async def take_back(
        self, organization_id: OrganizationId, event_id: UUID, occurred_at: datetime
    ) -> int:
        """Says how many batches correct the event; none the second time."""
        async with self._work.begin(organization_id):
            # A collector that has read the event and not committed is waited for.
            await self._batches.lock_collection_for_platform()
            if not await self._batches.was_collected(organization_id, event_id, occurred_at):
                return 0
            if await self._batches.was_corrected(organization_id, event_id):
                return 0
            [event] = await self._feeds.events([(organization_id, event_id)])
            used = used_of(event, self._who.metrics)
            enrolments = await self._enrolments.list_all(organization_id)
            enrolment = next((one for one in enrolments if one.covers(occurred_at)), None)
            if enrolment is None:
                return 0
            corrected = 0
            for metric in sorted(enrolment.prices):
                if quantity := used.of(metric):
                    await self._batches.add_batch(
                        organization_id,
                        enrolment=enrolment,
                        metric=metric,
                        quantity=-quantity,
                        occurred_at=occurred_at,
                        now=self._clock.now(),
                        corrects_event_id=event_id,
                    )
                    corrected += 1
            return corrected
