"""Events in and out of the inbox."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update

from app.infra.db.repository import Repository
from app.kernel.pages import Page, PageRequest
from app.webhooks.domain import EventFilter, EventState, Outcome
from app.webhooks.errors import UnknownEvent
from app.webhooks.models import StripeEvent

_MAX_ERROR_LENGTH = 500


class InboxRepository(Repository):
    """The table of `models.py`."""

    platform = True

    async def get(self, event_id: str) -> StripeEvent:
        """Raises `UnknownEvent`."""
        query = select(StripeEvent).where(StripeEvent.event_id == event_id)
        found = await self.session.scalar(query)
        if found is None:
            raise UnknownEvent
        return found

    async def claim_pending(self, event_id: str) -> StripeEvent | None:
        """The event, locked, if it is still to be handled."""
        query = (
            select(StripeEvent)
            .where(StripeEvent.event_id == event_id, StripeEvent.state == EventState.PENDING.value)
            .with_for_update()
        )
        return await self.session.scalar(query)

    async def settle(self, event_id: str, outcome: Outcome, at: datetime) -> None:
        await self.session.execute(
            update(StripeEvent)
            .where(StripeEvent.event_id == event_id)
            .values(
                state=outcome.state.value,
                note=outcome.note,
                handled_at=at if outcome.state is EventState.HANDLED else None,
                last_error=None,
            )
        )

    async def note_failure(self, event_id: str, error: str, state: EventState) -> None:
        await self.session.execute(
            update(StripeEvent)
            .where(StripeEvent.event_id == event_id, StripeEvent.state == EventState.PENDING.value)
            .values(last_error=error[:_MAX_ERROR_LENGTH], state=state.value)
        )

    async def list_overdue(self, before: datetime, limit: int) -> list[str]:
        """Ids of events received before *before* that nobody has handled, oldest first."""
        query = (
            select(StripeEvent.event_id)
            .where(StripeEvent.state == EventState.PENDING.value, StripeEvent.received_at < before)
            .order_by(StripeEvent.received_at)
            .limit(limit)
        )
        return list((await self.session.scalars(query)).all())

    async def claim_dead(self, kind: str | None, limit: int) -> list[StripeEvent]:
        """Events that were given up, oldest first, locked; optionally of one type."""
        query = select(StripeEvent).where(StripeEvent.state == EventState.DEAD.value)
        if kind is not None:
            query = query.where(StripeEvent.type == kind)
        query = query.order_by(StripeEvent.id).limit(limit).with_for_update(skip_locked=True)
        return list((await self.session.scalars(query)).all())

    async def forget_payloads(self, before: datetime) -> int:
        result = await self.session.execute(
            update(StripeEvent)
            .where(StripeEvent.received_at < before, StripeEvent.payload.is_not(None))
            .values(payload=None)
            .returning(StripeEvent.id)
        )
        return len(result.all())

    async def list_for_operators(
        self, request: PageRequest, wanted: EventFilter
    ) -> Page[StripeEvent]:
        query = select(StripeEvent)
        if wanted.state is not None:
            query = query.where(StripeEvent.state == wanted.state.value)
        if wanted.kind is not None:
            query = query.where(StripeEvent.type == wanted.kind)
        if wanted.min_attempts:
            query = query.where(StripeEvent.attempts >= wanted.min_attempts)
        if wanted.error is not None:
            query = query.where(StripeEvent.last_error.icontains(wanted.error, autoescape=True))
        return await self.page(query, request, StripeEvent.id, lambda event: event.id)
