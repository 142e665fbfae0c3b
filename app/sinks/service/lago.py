"""Every event, for Lago."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

import structlog

from app.gateways.lago.gateway import BATCH, LagoEvent, LagoGateway, LagoUnavailable
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import encode_id
from app.kernel.rates import plain
from app.sinks.repository import SinkRepository
from app.sinks.service.attempts import Attempts
from app.usage.models import UsageEvent
from app.usage.service.feeds import FeedKind, Notes, UsageFeeds

log = structlog.get_logger(__name__)

LAGO = "lago"

_LABELS = ("provider", "model", "debate_id", "agent", "workspace", "user_id", "request_type")
_COUNTS = ("tokens_in", "tokens_out", "cached_tokens", "cache_write_tokens", "reasoning_tokens")
_REASON_LETTERS = 500


class LagoSink:
    """Sends events in batches, each as often as it takes. Lago knows a repeat by our id for it.

    What is void before it is sent is not sent. Lago has no way to take an event back, so what is
    voided or priced afterwards stays there as it was.
    """

    def __init__(
        self,
        work: UnitOfWork,
        feeds: UsageFeeds,
        attempts: Attempts,
        sinks: SinkRepository,
        lago: LagoGateway | None,
        clock: Clock,
    ) -> None:
        self._work = work
        self._feeds = feeds
        self._attempts = attempts
        self._sinks = sinks
        self._lago = lago
        self._clock = clock

    async def deliver(self) -> int:
        """Send what was recorded since the last time; returns how many events Lago was told."""
        if self._lago is None:
            await self._feeds.end_if_abandoned(LAGO)
            return 0
        if await self._feeds.begin(LAGO, FeedKind.EVENTS) is None:
            return 0
        if not await self._attempts.is_due(LAGO):
            return 0
        told = 0
        while (notes := await self._feeds.claim(LAGO)) is not None:
            try:
                told += await self._pass_on(self._lago, notes)
            except LagoUnavailable as failure:
                await self._feeds.release(notes)
                await self._attempts.failed(LAGO, failure)
                break
        return told

    async def _pass_on(self, lago: LagoGateway, notes: Notes) -> int:
        refused: dict[tuple[UUID, UUID], str] = {}
        told = 0
        for start in range(0, len(notes.events), BATCH):
            events = await self._feeds.events(notes.events[start : start + BATCH])
            events = [event for event in events if event.voided_at is None]
            refused |= await self._send(lago, events)
            told += len(events)
        async with self._work.begin_platform():
            if refused:
                await self._sinks.add_dead_letters(LAGO, refused, self._clock.now())
            await self._feeds.settle(notes)
            await self._attempts.succeeded(LAGO)
        if refused:
            log.error("sinks.refused", sink=LAGO, events=len(refused))
        return told - len(refused)

    async def _send(
        self, lago: LagoGateway, events: Sequence[UsageEvent]
    ) -> dict[tuple[UUID, UUID], str]:
        """Send until everything is taken or refused; gives what is refused for good."""
        refused: dict[tuple[UUID, UUID], str] = {}
        waiting = [list(events)] if events else []
        while waiting:
            batch = waiting.pop()
            answer = await lago.send([_shown(event) for event in batch])
            if answer is None:
                continue
            named = {
                **dict.fromkeys(answer.known, ""),
                **answer.by_position,
            }
            if not named and len(batch) > 1:
                # It does not say which: halves, until the one to blame is alone.
                half = len(batch) // 2
                waiting += [batch[:half], batch[half:]]
                continue
            if not named:
                named = {0: answer.reason}
            for position, reason in named.items():
                if position < len(batch) and position not in answer.known:
                    event = batch[position]
                    refused[event.organization_id, event.id] = reason[:_REASON_LETTERS]
            rest = [event for position, event in enumerate(batch) if position not in named]
            if len(rest) == len(batch):
                raise LagoUnavailable(reason="it refuses events that it was not sent")
            waiting += [rest] if rest else []
        return refused


def _shown(event: UsageEvent) -> LagoEvent:
    properties = {"quantity": plain(event.quantity)}
    for name in _COUNTS:
        properties[name] = str(getattr(event, name))
    for name in _LABELS:
        if (label := getattr(event, name)) is not None:
            properties[name] = label
    if event.cost_usd is not None:
        properties["cost_usd"] = plain(event.cost_usd)
    return LagoEvent(
        transaction_id=encode_id("evt", event.id),
        subscription=encode_id("org", event.organization_id),
        code=event.event_type,
        happened_at=event.occurred_at,
        properties=properties,
        cost_cents=None if event.cost_usd is None else event.cost_usd * Decimal(100),
    )
