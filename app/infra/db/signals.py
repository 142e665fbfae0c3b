"""Word between processes: what a commit changed reaches every other process by NOTIFY.

A signal is sent inside a unit of work and heard only if the unit commits: at once in the process
that sent it, and through a connection of its own in every other. A process whose connection is
lost knows that it may have missed something: `is_hearing` turns false until it listens again, and
everyone who keeps something in memory is told to forget it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import asyncpg
import structlog
from sqlalchemy import URL, event, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.infra.db.engine import DRIVER_ERRORS, asyncpg_arguments

log = structlog.get_logger(__name__)

CHANNEL = "signals"

_HEARTBEAT_SECONDS = 1.0
_RECONNECT_SECONDS = 0.25
_FIRST_CONNECT_SECONDS = 5.0

Hear = Callable[[str], None]
Forget = Callable[[], None]


class Signals:
    """Sends and hears signals: short texts such as `user:0192…`.

    Subscribers are plain functions; they run in the event loop and must be quick.
    """

    def __init__(self, url: URL) -> None:
        self._url = url
        self._subscribers: list[tuple[Hear, Forget]] = []
        self._task: asyncio.Task[None] | None = None
        self._connection: asyncpg.Connection | None = None
        self._hearing = asyncio.Event()
        self._lost = asyncio.Event()

    @property
    def is_hearing(self) -> bool:
        """Whether a signal from another process would be heard now."""
        return self._hearing.is_set()

    def subscribe(self, hear: Hear, forget: Forget) -> None:
        """Call *hear* with each signal, and *forget* whenever some may have been missed."""
        self._subscribers.append((hear, forget))

    async def send(self, session: AsyncSession, signal: str) -> None:
        """Tell every process once this unit commits. The sender's own hears it before it goes on."""
        await session.execute(
            text("select pg_notify(:channel, :signal)"), {"channel": CHANNEL, "signal": signal}
        )
        event.listen(session.sync_session, "after_commit", lambda _: self._heard(signal), once=True)

    async def start(self) -> None:
        """Listen from now on. Without an answer in time it goes on trying, unheard meanwhile."""
        self._task = asyncio.create_task(self._listen(), name="signals")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hearing.wait(), _FIRST_CONNECT_SECONDS)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def _heard(self, signal: str) -> None:
        for hear, _ in self._subscribers:
            hear(signal)

    def _forget(self) -> None:
        for _, forget in self._subscribers:
            forget()

    async def _listen(self) -> None:
        while True:
            try:
                await self._listen_once()
            except (OSError, TimeoutError, *DRIVER_ERRORS) as error:
                log.warning("signals.lost", error=type(error).__name__)
            finally:
                self._forget()
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen_once(self) -> None:
        connection = await asyncpg.connect(
            **asyncpg_arguments(self._url),
            timeout=_FIRST_CONNECT_SECONDS,
            server_settings={"application_name": "aragora-billing-signals"},
        )
        self._connection = connection
        self._lost.clear()
        try:
            connection.add_termination_listener(self._terminated)
            await connection.add_listener(CHANNEL, self._received)
            # Whatever was remembered from before the LISTEN may be outdated.
            self._forget()
            self._hearing.set()
            while not self._lost.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._lost.wait(), _HEARTBEAT_SECONDS)
                    break
                # A connection that died without a word would otherwise look silent, not dead.
                await connection.execute("select 1", timeout=_HEARTBEAT_SECONDS)
            raise ConnectionResetError
        finally:
            self._hearing.clear()
            self._connection = None
            connection.terminate()

    def _terminated(self, _: object) -> None:
        self._hearing.clear()
        self._lost.set()

    def _received(self, _: object, __: int, ___: str, payload: object) -> None:
        self._heard(str(payload))
