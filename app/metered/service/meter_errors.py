"""What Stripe took and then did not count."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from app.gateways.stripe.metering import MeterError, MeteringGateway
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId
from app.metered.domain import BatchState
from app.metered.repository import BatchRepository

log = structlog.get_logger(__name__)

_PREFIX = "usage:"
_WAIT = timedelta(minutes=30)
_TRIES = 5
HOPELESS = frozenset({"meter_event_invalid_value", "timestamp_too_far_in_past"})
_ENDED = frozenset({BatchState.PENDING, BatchState.SENT})


@dataclass(frozen=True, slots=True)
class MeterErrorReport:
    """The meter events that one thin event complains of; Stripe names a sample."""

    event_id: str
    errors: tuple[MeterError, ...]


class MeterErrors:
    """Queues again what did not count, under a new identifier: Stripe has used up the old one.

    Five times with longer waits, since a missing customer or a resting meter is somebody's to
    mend; then it is `refused` and an operator's.
    """

    def __init__(
        self,
        work: UnitOfWork,
        batches: BatchRepository,
        stripe: MeteringGateway,
        clock: Clock,
    ) -> None:
        self._work = work
        self._batches = batches
        self._stripe = stripe
        self._clock = clock

    async def fetch(self, event_id: str) -> MeterErrorReport:
        """What the event reports. Outside any unit."""
        return MeterErrorReport(event_id, await self._stripe.get_errors(event_id))

    async def take(self, report: MeterErrorReport) -> int:
        """Says how many batches were queued again; a repeat finds them queued. Joins the unit."""
        queued = 0
        async with self._work.begin_platform():
            for error in report.errors:
                queued += await self._take(error)
        return queued

    async def _take(self, error: MeterError) -> int:
        batch_id = _batch_id(error.identifier)
        row = await self._batches.find_for_platform(batch_id, lock=True) if batch_id else None
        # Also one whose answer is still awaited: it is not to be taken for told.
        if row is None or row.state not in _ENDED:
            return 0
        organization_id = OrganizationId(row.organization_id)
        row.failure = f"{error.code}: {error.message}"
        tries = await self._batches.count_replaced(organization_id, row)
        log.error(
            "metered.not_counted",
            organization_id=str(organization_id),
            metric=row.metric,
            batch_id=str(row.id),
            reason=row.failure,
            tries=tries + 1,
        )
        if error.code in HOPELESS or tries >= _TRIES:
            row.state = BatchState.REFUSED.value
            return 0
        row.state = BatchState.REJECTED.value
        await self._batches.replace(organization_id, row, self._clock.now() + _WAIT * 2**tries)
        return 1


def _batch_id(identifier: str) -> UUID | None:
    try:
        return UUID(identifier.removeprefix(_PREFIX))
    except ValueError:
        return None
