"""Others whom the service talks to, as they are on a good day and on a bad one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class StandIn:
    """Somebody who answers whatever is asked, or who says nothing at all."""

    port: int = 0
    taken: int = 0
    """Mails."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the silence has been long enough."""


@asynccontextmanager
async def mail_server(*, answers: bool) -> AsyncIterator[StandIn]:
    """An SMTP server; one that does not answer keeps the connection open and is silent, which is the worst."""
    server = StandIn()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 benchmark\r\n")
        while line := await reader.readline():
            match line[:4].upper().strip():
                case b"DATA":
                    writer.write(b"354 go on\r\n")
                    await reader.readuntil(b"\r\n.\r\n")
                    server.taken += 1
                    writer.write(b"250 taken\r\n")
                case b"QUIT":
                    writer.write(b"221 bye\r\n")
                    return
                case _:
                    writer.write(b"250 benchmark\r\n")

    async with _listening(converse, server.over, answers=answers) as server.port:
        yield server


_STRIPE: Mapping[bytes, Mapping[str, object]] = {
    b"/v1/customers": {"id": "cus_benchmark", "object": "customer", "livemode": False},
    b"/v1/billing_portal/sessions": {
        "id": "bps_benchmark",
        "object": "billing_portal.session",
        "url": "https://billing.stripe.test/session",
    },
}
"""What is asked for while somebody wants to the portal."""


@asynccontextmanager
async def stripe(*, answers: bool) -> AsyncIterator[StandIn]:
    """Somebody at Stripe's address."""
    server = StandIn()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        found = _STRIPE.get(head.split(b" ", 2)[1])
        status = b"200 OK" if found is not None else b"404 Not Found"
        body = json.dumps(found or {"error": {"type": "invalid_request_error"}}).encode()
        writer.write(
            b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%b" % (status, len(body), body)
        )

    async with _listening(answer, server.over, answers=answers) as server.port:
        yield server


@asynccontextmanager
async def _listening(talk: Talk, over: asyncio.Event, *, answers: bool) -> AsyncIterator[int]:
    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await (talk(reader, writer) if answers else over.wait())
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the caller went, which is how a patient one ends who was told nothing
        finally:
            writer.close()

    listening = await asyncio.start_server(met, "127.0.0.1", 0)
    try:
        yield int(listening.sockets[0].getsockname()[1])
    finally:
        over.set()
        listening.close()
