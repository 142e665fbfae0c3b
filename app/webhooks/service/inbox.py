"""Handling what was received: once, in any order, and again until it works."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import structlog

from app.audit.service import AuditLog
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.errors import Unavailable
from app.kernel.pages import Page, PageRequest
from app.webhooks.domain import EventFilter, EventState, Outcome, PendingEvent, ignored
from app.webhooks.models import StripeEvent
from app.webhooks.repository import InboxRepository
from app.webhooks.service.topics.answers import ALARMING, Apply, Handler, settled
from app.webhooks.statement import HANDLE_JOB, dedupe_key

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 20
OVERDUE = timedelta(minutes=5)
PAYLOAD_KEPT = timedelta(days=90)
_SWEEP = 500


class StripeInbox:
    """Handles kept events, gives up on hopeless ones, and lets operators look and replay."""

    def __init__(
        self,
        work: UnitOfWork,
        events: InboxRepository,
        clock: Clock,
        audit: AuditLog,
        handlers: Mapping[str, Handler],
        *,
        livemode: bool,
    ) -> None:
        self._work = work
        self._events = events
        self._clock = clock
        self._audit = audit
        self._handlers = handlers
        self._livemode = livemode

    async def handle(self, event_id: str) -> None:
        """Make true what an event reports. A second call finds it handled and does nothing.

        A failure leaves it pending, with the reason and one attempt more, and is raised so that
        the job is tried again; after MAX_ATTEMPTS the event is dead and waits for an operator.
        While Stripe cannot be reached it stays pending for as long as that lasts.
        """
        async with self._work.begin_platform():
            row = await self._events.claim_pending(event_id)
            if row is None:
                return
            row.attempts += 1
            event = row.pending()
        try:
            apply = await self._prepare(event)
            async with self._work.begin_platform():
                if await self._events.claim_pending(event_id) is None:
                    return
                outcome = await apply()
                await self._events.settle(event_id, outcome, self._clock.now())
        except Exception as error:
            await self._note_failure(event, error)
            raise
        _report(event, outcome)

    async def sweep(self) -> int:
        """Ask again for events that nobody has handled for five minutes; says how many."""
        async with self._work.begin_platform():
            overdue = await self._events.list_overdue(self._clock.now() - OVERDUE, _SWEEP)
            for event_id in overdue:
                self._enqueue(event_id)
        if overdue:
            log.warning("webhooks.overdue", count=len(overdue))
        return len(overdue)

    async def forget_payloads(self) -> int:
        """Drop the text of events older than 90 days; the rows stay. Says how many."""
        async with self._work.begin_platform():
            return await self._events.forget_payloads(self._clock.now() - PAYLOAD_KEPT)

    async def replay(self, event_id: str) -> StripeEvent:
        """Handle an event again, whatever became of it. Raises `UnknownEvent`."""
        async with self._work.begin_platform():
            row = await self._events.get(event_id)
            self._send_back(row)
            return row

    async def replay_dead(self, kind: str | None = None) -> int:
        """Handle again what was given up, of one type or of all; says how many, at most 500."""
        async with self._work.begin_platform():
            rows = await self._events.claim_dead(kind, _SWEEP)
            for row in rows:
                self._send_back(row)
            return len(rows)

    async def list(
        self, request: PageRequest, wanted: EventFilter = EventFilter()
    ) -> Page[StripeEvent]:
        """Events of the inbox, newest first."""
        async with self._work.begin_platform():
            return await self._events.list_for_operators(request, wanted)

    def _send_back(self, row: StripeEvent) -> None:
        before = row.state
        row.state = EventState.PENDING.value
        row.handled_at = None
        row.attempts = 0
        self._enqueue(row.event_id)
        self._audit.record(
            "webhooks.event_replayed",
            row.event_id,
            organization_id=None,
            before={"state": before},
            after={"state": row.state},
        )

    async def _prepare(self, event: PendingEvent) -> Apply:
        if event.livemode != self._livemode:
            return settled(ignored("other_mode"))
        handler = self._handlers.get(event.kind)
        if handler is None:
            return settled(ignored("not_handled"))
        return await handler(event)

    async def _note_failure(self, event: PendingEvent, error: Exception) -> None:
        is_hopeless = event.attempts >= MAX_ATTEMPTS and not isinstance(error, Unavailable)
        state = EventState.DEAD if is_hopeless else EventState.PENDING
        if state is EventState.DEAD:
            log.error("webhooks.event_dead", event_id=event.event_id, type=event.type)
        async with self._work.begin_platform():
            await self._events.note_failure(
                event.event_id, f"{type(error).__name__}: {error}", state
            )

    def _enqueue(self, event_id: str) -> None:
        self._work.enqueue(HANDLE_JOB, {"event_id": event_id}, dedupe_key=dedupe_key(event_id))


def _report(event: PendingEvent, outcome: Outcome) -> None:
    speak = log.error if outcome.note in ALARMING else log.info
    speak(
        "webhooks.event_settled",
        event_id=event.event_id,
        type=event.type,
        state=outcome.state.value,
        note=outcome.note,
    )
