"""Letting events in: verified, kept once, and handled later."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import asyncpg
import structlog
from sqlalchemy import URL

from app.infra.db.engine import asyncpg_arguments
from app.infra.http.problems import DATABASE_RETRY_SECONDS, DatabaseUnavailable, is_database_loss
from app.kernel.clock import Clock
from app.kernel.errors import Unavailable
from app.kernel.ids import new_id
from app.webhooks.domain import SignedEvent, read_event
from app.webhooks.errors import WebhooksNotConfigured
from app.webhooks.signature import verify
from app.webhooks.statement import KEEP

log = structlog.get_logger(__name__)

MAX_GROUP = 200
MAX_WAITING = 5_000
"""Stripe sends again what is refused; a process whose database stands still must not fill up."""
_TIMEOUT_SECONDS = 15.0

Waiting = tuple[SignedEvent, "asyncio.Future[bool]"]


class StripeIntake:
    """Receives what Stripe posts. No thinking happens here: one statement keeps it, with a job.

    What arrives while a commit runs is written by the next one, one statement however many it
    is. There is no timer: a lone event is written at once, and each is answered after its commit.
    """

    def __init__(self, url: URL, clock: Clock, secrets: Sequence[str]) -> None:
        self._url = url
        self._clock = clock
        self._secrets = tuple(secrets)
        self._waiting: list[Waiting] = []
        self._writer: asyncio.Task[None] | None = None
        self._connection: asyncpg.Connection | None = None

    async def receive(self, payload: bytes, signature: str | None) -> None:
        """Keep a signed event and ask for its handling in the same commit; a repeat is no news.

        Raises `SignatureRefused`, `EventMalformed`, or `WebhooksNotConfigured` where there is no
        secret to verify with; `DatabaseUnavailable` when it cannot be kept.
        """
        if not self._secrets:
            raise WebhooksNotConfigured
        verify(payload, signature, self._secrets, self._clock.now())
        await self.keep(read_event(payload))

    async def take_in(self, payload: str) -> bool:
        """Keep an event that was fetched from Stripe; says whether it was news."""
        return await self.keep(read_event(payload.encode()))

    async def keep(self, event: SignedEvent) -> bool:
        """Keep an event that is known to be Stripe's; says whether it was news."""
        if len(self._waiting) >= MAX_WAITING:
            raise Unavailable(retry_after_seconds=DATABASE_RETRY_SECONDS)
        kept: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((event, kept))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return await kept

    async def close(self) -> None:
        """Write and answer what was accepted."""
        if self._writer is not None:
            await self._writer
        if self._connection is not None:
            with suppress(Exception):
                await self._connection.close(timeout=2)

    async def _write(self) -> None:
        # Requests that the network brought at the same moment come along.
        await asyncio.sleep(0)
        while self._waiting:
            group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
            try:
                news = await self._keep([event for event, _ in group])
            except Exception as error:  # noqa: BLE001 - it belongs to those who wait
                await self._keep_singly(group, error)
            else:
                for event, kept in group:
                    _answer(kept, event.event_id in news)

    async def _keep(self, events: Sequence[SignedEvent]) -> set[str]:
        """The ids of those that were not kept before."""
        for again in (True, False):
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await self._connect()
                # After a lost answer nobody knows whether it was kept; keeping it again is no news.
                kept = await self._connection.fetch(
                    KEEP,
                    [new_id() for _ in events],
                    [event.event_id for event in events],
                    [event.type for event in events],
                    [event.object_id for event in events],
                    [event.api_version for event in events],
                    [event.livemode for event in events],
                    [event.is_thin for event in events],
                    [event.occurred_at for event in events],
                    [event.payload for event in events],
                    self._clock.now(),
                )
                return {row[0] for row in kept}
            except Exception as error:
                if not (isinstance(error, TimeoutError | OSError) or is_database_loss(error)):
                    raise
                if self._connection is not None:
                    self._connection.terminate()
                    self._connection = None
                if not again:
                    log.warning("webhooks.not_kept", error=repr(error)[:500], count=len(events))
        raise DatabaseUnavailable(retry_after_seconds=DATABASE_RETRY_SECONDS)

    async def _connect(self) -> asyncpg.Connection:
        """Past SQLAlchemy, whose adapter costs more than the statement."""
        return await asyncpg.connect(
            **asyncpg_arguments(self._url),
            timeout=5,
            command_timeout=_TIMEOUT_SECONDS,
            server_settings={
                "application_name": "aragora-billing-webhooks",
                "timezone": "UTC",
                "statement_timeout": str(int(_TIMEOUT_SECONDS * 1000)),
                "jit": "off",
                "plan_cache_mode": "force_generic_plan",
            },
        )

    async def _keep_singly(self, group: Sequence[Waiting], error: Exception) -> None:
        """Let one event that cannot be stored fail alone."""
        is_alone = len(group) == 1 or isinstance(error, DatabaseUnavailable)
        for event, kept in group:
            answer: bool | Exception = error
            if not is_alone:
                try:
                    answer = bool(await self._keep([event]))
                except Exception as own:  # noqa: BLE001 - raised where it is waited for
                    answer = own
            _answer(kept, answer)


def _answer(kept: asyncio.Future[bool], answer: bool | Exception) -> None:
    if kept.done():
        return  # the sender hung up; the event is kept all the same
    if isinstance(answer, Exception):
        kept.set_exception(answer)
    else:
        kept.set_result(answer)
