"""Events in and out of the inbox."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update

from app.infra.db.repository import Repository
from app.kernel.ids import new_id
from app.kernel.pages import Page, PageRequest
from app.webhooks.domain import EventState, Outcome, SignedEvent
from app.webhooks.errors import UnknownEvent
from app.webhooks.models import StripeEvent

_ADD_ONCE = """
insert into stripe_events (id, event_id, type, object_id, api_version, livemode, is_thin,
                           occurred_at, received_at, payload, state, attempts)
select id, event_id, type, object_id, api_version, livemode, is_thin,
       coalesce(occurred_at, $10), $10, payload, 'pending', 0
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[],
            $7::boolean[], $8::timestamptz[], $9::text[])
  as sent(id, event_id, type, object_id, api_version, livemode, is_thin, occurred_at, payload)
on conflict (event_id) do nothing
returning event_id
"""
_MAX_ERROR_LENGTH = 500


class InboxRepository(Repository):
    """The table of `models.py`."""

    platform = True

    async def add_once(self, events: Sequence[SignedEvent], at: datetime) -> list[str]:
        """Keep those of *events* that are not kept already; the ids of the new ones."""
        # Arrays and fixed text: one prepared statement whatever the number, and no compilation.
        connection = await self.session.connection()
        result = await connection.exec_driver_sql(
            _ADD_ONCE,
            (
                [new_id() for _ in events],
                [event.event_id for event in events],
                [event.type for event in events],
                [event.object_id for event in events],
                [event.api_version for event in events],
                [event.livemode for event in events],
                [event.is_thin for event in events],
                [event.occurred_at for event in events],
                [event.payload for event in events],
                at,
            ),
        )
        return [row[0] for row in result]

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

    async def forget_payloads(self, before: datetime) -> int:
        result = await self.session.execute(
            update(StripeEvent)
            .where(StripeEvent.received_at < before, StripeEvent.payload.is_not(None))
            .values(payload=None)
            .returning(StripeEvent.id)
        )
        return len(result.all())

    async def list_for_operators(
        self, request: PageRequest, *, state: EventState | None, kind: str | None
    ) -> Page[StripeEvent]:
        query = select(StripeEvent)
        if state is not None:
            query = query.where(StripeEvent.state == state.value)
        if kind is not None:
            query = query.where(StripeEvent.type == kind)
        return await self.page(query, request, StripeEvent.id, lambda event: event.id)
