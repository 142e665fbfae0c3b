"""Letting events in: verified, kept once, and handled later."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.webhooks.domain import SignedEvent, read_event
from app.webhooks.errors import WebhooksNotConfigured
from app.webhooks.repository import InboxRepository
from app.webhooks.signature import verify

HANDLE_JOB = "webhooks.handle_stripe_event"
MAX_GROUP = 200


class StripeIntake:
    """Receives what Stripe posts. No thinking happens here: one insert, and a job.

    What arrives while a commit runs is written by the next one, two statements however many it
    is. There is no timer: a lone event is written at once, and each is answered after its commit.
    """

    def __init__(
        self, work: UnitOfWork, events: InboxRepository, clock: Clock, secrets: Sequence[str]
    ) -> None:
        self._work = work
        self._events = events
        self._clock = clock
        self._secrets = tuple(secrets)
        self._waiting: list[tuple[SignedEvent, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def receive(self, payload: bytes, signature: str | None) -> None:
        """Keep a signed event and ask for its handling in the same commit; a repeat is no news.

        Raises `SignatureRefused`, `EventMalformed`, or `WebhooksNotConfigured` where there is no
        secret to verify with.
        """
        if not self._secrets:
            raise WebhooksNotConfigured
        verify(payload, signature, self._secrets, self._clock.now())
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((read_event(payload), kept))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        await kept

    async def _write(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
            try:
                await self._keep([event for event, _ in group])
            except Exception as error:  # noqa: BLE001 - it belongs to those who wait
                await self._keep_singly(group, error)
            else:
                for _, kept in group:
                    _answer(kept, None)

    async def _keep(self, events: Sequence[SignedEvent]) -> None:
        async with self._work.begin_platform():
            for event_id in await self._events.add_once(events, self._clock.now()):
                self._work.enqueue(
                    HANDLE_JOB, {"event_id": event_id}, dedupe_key=dedupe_key(event_id)
                )

    async def _keep_singly(
        self, group: Sequence[tuple[SignedEvent, asyncio.Future[None]]], error: Exception
    ) -> None:
        """Let one event that cannot be stored fail alone."""
        for event, kept in group:
            failure: Exception | None = error
            if len(group) > 1:
                failure = None
                try:
                    await self._keep([event])
                except Exception as own:  # noqa: BLE001 - raised where it is waited for
                    failure = own
            _answer(kept, failure)


def dedupe_key(event_id: str) -> str:
    return f"{HANDLE_JOB}:{event_id}"


def _answer(kept: asyncio.Future[None], error: Exception | None) -> None:
    if kept.done():
        return  # the sender hung up; the event is kept all the same
    if error is None:
        kept.set_result(None)
    else:
        kept.set_exception(error)
