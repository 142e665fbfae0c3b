"""Letting events in: verified, kept once, and handled later."""

from __future__ import annotations

from collections.abc import Sequence

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.webhooks.domain import read_event
from app.webhooks.errors import WebhooksNotConfigured
from app.webhooks.repository import InboxRepository
from app.webhooks.signature import verify

HANDLE_JOB = "webhooks.handle_stripe_event"


class StripeIntake:
    """Receives what Stripe posts. No thinking happens here: one insert, and a job."""

    def __init__(
        self, work: UnitOfWork, events: InboxRepository, clock: Clock, secrets: Sequence[str]
    ) -> None:
        self._work = work
        self._events = events
        self._clock = clock
        self._secrets = tuple(secrets)

    async def receive(self, payload: bytes, signature: str | None) -> bool:
        """Keep a signed event and ask for its handling in the same commit.

        Says whether it was new; a repeat changes nothing. Raises `SignatureRefused`,
        `EventMalformed`, or `WebhooksNotConfigured` where there is no secret to verify with.
        """
        if not self._secrets:
            raise WebhooksNotConfigured
        now = self._clock.now()
        verify(payload, signature, self._secrets, now)
        event = read_event(payload)
        async with self._work.begin_platform():
            is_new = await self._events.add_once(event, now)
            if is_new:
                self._work.enqueue(
                    HANDLE_JOB, {"event_id": event.event_id}, dedupe_key=dedupe_key(event.event_id)
                )
        return is_new


def dedupe_key(event_id: str) -> str:
    return f"{HANDLE_JOB}:{event_id}"
