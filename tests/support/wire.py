"""An application behind real sockets, spoken to byte by byte."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from app.infra.http.wire import LaneProtocol


@dataclass
class Wired:
    """Where it listens, and which paths came to it as ASGI requests."""

    port: int
    state: ServerState
    handed: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def say(self, *parts: bytes, answers: int = 1, pause: float = 0.0) -> bytes:
        """So many answers to what is said on a connection of its own."""
        reader, writer = await self.open()
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        heard = await hear(reader, answers)
        writer.close()
        return heard


async def hear(reader: asyncio.StreamReader, answers: int) -> bytes:
    """So many answers, whole."""
    heard = b""
    async with asyncio.timeout(30):
        for _ in range(answers):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
            heard += head + await reader.readexactly(int(length[1]) if length else 0)
    return heard


class _Noted:
    """Stands before the application as uvicorn's own wrappers do, and notes what passes."""

    def __init__(self, app: ASGIApp, handed: list[str]) -> None:
        self.app = app
        self._handed = handed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._handed.append(scope["path"])
        await self.app(scope, receive, send)


@asynccontextmanager
async def wired(app: ASGIApp, **options: Any) -> AsyncIterator[Wired]:
    """Serve *app*, which is started already, as `serve` does."""
    state = ServerState()
    handed: list[str] = []
    config = Config(
        _Noted(app, handed),
        http=LaneProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=True,
        **options,
    )
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: LaneProtocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    try:
        yield Wired(server.sockets[0].getsockname()[1], state, handed)
    finally:
        server.close()
        for connection in list(state.connections):
            connection.shutdown()
        await asyncio.gather(*state.tasks, return_exceptions=True)
        for connection in list(state.connections):
            connection.transport.abort()
        await server.wait_closed()
