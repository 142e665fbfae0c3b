"""Committing: an event is recorded and its reservation settled, in one statement or not at all."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import URL

from app.kernel.clock import Clock
from app.kernel.errors import BillingError
from app.kernel.ids import OrganizationId
from app.pricing.service import PriceService
from app.usage.domain import NewEvent
from app.usage.errors import ReservationCommitted, ReservationReleased
from app.usage.holding import Held, Labels
from app.usage.service.connection import connect_to_record
from app.usage.service.flush import Flush
from app.usage.service.group_commit import GroupCommit
from app.usage.service.ingest import UsageIngest
from app.usage.service.reservations import Reservations
from app.usage.service.submission import Recorded, ReservationUse, Submission
from app.usage.service.tenants import Tenants
from app.usage.statement import SETTLE_CALL

_KEPT = 50_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What a reservation said of the call that it was made for; it never changes."""

    metric: str | None
    labels: Labels


@dataclass(frozen=True, slots=True)
class Settled:
    """An event, and the reservation it drew on as it stood afterwards."""

    recorded: Recorded
    held: Held


class Settling:
    """Records events that draw on reservations. `open` and `close` frame its life in a process.

    These events have flushes of their own, so that all others are written as if there were no
    reservations.
    """

    def __init__(
        self,
        url: URL,
        ingest: UsageIngest,
        reservations: Reservations,
        prices: PriceService,
        tenants: Tenants,
        clock: Clock,
    ) -> None:
        self._ingest = ingest
        self._reservations = reservations
        self._prices = prices
        self._tenants = tenants
        self._clock = clock
        self._plans: OrderedDict[tuple[OrganizationId, UUID], Plan] = OrderedDict()
        self._group = GroupCommit[Submission, Settled](partial(connect_to_record, url), self._flush)

    async def open(self) -> None:
        await self._group.start()

    async def close(self) -> None:
        """Write and answer what was accepted."""
        await self._group.stop()

    def remember(self, held: Held) -> None:
        """Keep what a commit will ask for."""
        self._plans[held.organization_id, held.id] = Plan(held.metric, held.labels)
        if len(self._plans) > _KEPT:
            self._plans.popitem(last=False)

    async def plan(self, organization_id: OrganizationId, reservation_id: UUID) -> Plan:
        """What the reservation was made for. Raises `ReservationNotFound`."""
        known = self._plans.get((organization_id, reservation_id))
        if known is None:
            # In a task of its own: what asks may not be one, and a query wants to be.
            asked = asyncio.create_task(self._reservations.get(organization_id, reservation_id))
            self.remember(await asked)
            known = self._plans[organization_id, reservation_id]
        return known

    async def commit(
        self,
        organization_id: OrganizationId,
        reservation_id: UUID,
        event: NewEvent,
        *,
        is_final: bool,
        backfill: bool,
        api_key_id: UUID | None,
    ) -> Settled:
        """Record the event and let the reservation pay for it; a final one ends the reservation.

        More than was held is recorded all the same, and so is what comes after the expiry; only a
        reservation that was released, or committed by another event, takes none: that raises
        `ReservationReleased` or `ReservationCommitted`. The same event again changes nothing.
        """
        submission = self._ingest.prepare(
            organization_id, event, backfill=backfill, api_key_id=api_key_id
        )
        submission.reservation = ReservationUse(reservation_id, is_final)
        (answer,) = await self._group.submit([submission])
        if isinstance(answer, BillingError):
            raise answer
        return answer

    async def _flush(
        self, connection: asyncpg.Connection, items: Sequence[Submission]
    ) -> Sequence[Settled | BillingError]:
        answers: list[Settled | BillingError | None] = [None] * len(items)
        waiting = list(range(len(items)))
        while waiting:
            sent = [items[place] for place in waiting]
            organizations = sorted({item.organization_id for item in sent})
            unknown = [each for each in organizations if self._tenants.known(each) is None]
            if unknown:
                await self._tenants.refresh(unknown)
            call = Flush(sent, organizations, self._tenants, self._prices.book)
            now = self._clock.now()
            row = await connection.fetchrow(
                SETTLE_CALL, *call.arguments(now), *_arguments(call, sent, now)
            )
            if row is not None and row["state"] == "written":
                # What is held is less now than when the event was counted.
                written = self._ingest.answered(call, {**row, "held": row["held_after"]})
                for place, recorded, held in zip(waiting, written, row["settled"], strict=True):
                    answers[place] = (
                        recorded
                        if isinstance(recorded, BillingError)
                        else Settled(recorded, Held.of(held.__getitem__))
                    )
                break
            if row is not None and not row["is_clear"]:
                for place, refusal in zip(waiting, row["is_over"], strict=True):
                    if refusal is not None:
                        answers[place] = _REFUSALS[refusal]()
                waiting = [place for place in waiting if answers[place] is None]
                continue
            # Somebody's plan or a price has changed since this process read it.
            await self._tenants.refresh(organizations)
            await self._prices.refresh()
        return [answer for answer in answers if answer is not None]


_REFUSALS = {"released": ReservationReleased, "committed": ReservationCommitted}


def _arguments(call: Flush, items: Sequence[Submission], now: datetime) -> list[Any]:
    """What the two functions around the recording one are given."""
    events = [item.event for item in items]
    uses = [item.reservation for item in items]
    return [
        [item.organization_id for item in items],
        [None if use is None else use.id for use in uses],
        [UUID(item.key_hash) for item in items],
        [use is not None and use.is_final for use in uses],
        [item.occurred_at for item in items],
        [event.workspace for event in events],
        [event.user_id for event in events],
        [item.api_key_id for item in items],
        [event.debate_id for event in events],
        [event.provider for event in events],
        [event.model for event in events],
        [counter.organization_id for counter in call.counters],
        [counter.metric.key for counter in call.counters],
        [counter.window.start for counter in call.counters],
        now,
        [UUID(item.payload_hash) for item in items],
        call.taken(),
    ]
