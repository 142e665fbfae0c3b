"""Batches as operators see and mend them."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from app.audit.service import AuditLog
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, encode_id
from app.kernel.pages import Page, PageRequest
from app.kernel.rates import plain
from app.metered.domain import OLDEST, TO_LOOK_AT, Batch, BatchState
from app.metered.errors import BatchNotFound, BatchNotStuck
from app.metered.repository import BatchRepository

_KEPT_LONGER = timedelta(days=5)
_STUCK = frozenset({BatchState.REFUSED, BatchState.UNCERTAIN})


class BatchService:
    """What could not be told, and the way back into the queue."""

    def __init__(
        self, work: UnitOfWork, batches: BatchRepository, audit: AuditLog, clock: Clock
    ) -> None:
        self._work = work
        self._batches = batches
        self._audit = audit
        self._clock = clock

    async def list(
        self,
        request: PageRequest,
        organization_id: OrganizationId | None = None,
        state: BatchState | None = None,
        *,
        is_stuck: bool = False,
    ) -> Page[Batch]:
        """Batches of everybody, the newest first; *is_stuck*: those that an operator must end."""
        states = [state.value] if state else None
        if is_stuck:
            states = sorted(TO_LOOK_AT & {state} if state else TO_LOOK_AT)
        async with self._work.begin_platform():
            return await self._batches.list_for_operators(request, organization_id, states)

    async def forget_old_events(self) -> int:
        """Forget the events of portions of which nothing can be corrected at Stripe any more."""
        async with self._work.begin_platform():
            before = self._clock.now() - OLDEST - _KEPT_LONGER
            return await self._batches.forget_events_for_platform(before)

    async def requeue(self, batch_id: UUID) -> Batch:
        """Tell a refused or uncertain batch again, under a new identifier.

        An uncertain one may have been counted: whoever queues it again has looked at Stripe.
        """
        async with self._work.begin_platform():
            row = await self._batches.find_for_platform(batch_id, lock=True)
            if row is None:
                raise BatchNotFound
            if row.state not in _STUCK:
                raise BatchNotStuck(state=row.state)
            before, row.state = row.state, BatchState.REJECTED.value
            organization_id = OrganizationId(row.organization_id)
            new = await self._batches.replace(organization_id, row, self._clock.now())
            self._audit.record(
                "metered.requeued",
                encode_id("mtb", row.id),
                organization_id=organization_id,
                before={"state": before, "quantity": plain(row.quantity)},
                after={"batch_id": encode_id("mtb", new.id)},
            )
            return new.to_domain()
