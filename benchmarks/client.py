"""A lean HTTP/1.1 client: keep-alive connections that send prepared bytes one after the other.

No pipelining: a connection sends its next request when the answer to the last one is complete.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import cast

Follow = Callable[[int, bytes], bytes | None]
"""Given a status and a body: the request that follows it in the same measurement, if any."""

_END = b"\r\n\r\n"
_LENGTH = b"content-length: "


@dataclass
class Load:
    """What came back. Latencies are seconds."""

    elapsed: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    answers: list[tuple[int, int, bytes]] = field(default_factory=list)
    """Number of the request, status, body; bodies only where they were asked for."""

    @property
    def count(self) -> int:
        return len(self.latencies)


def quantile(values: Sequence[float], share: float) -> float:
    """The value that *share* of all are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def request(
    method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> bytes:
    """One request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + _END + body


class _Run:
    """What the connections of one measurement share."""

    def __init__(
        self, requests: Iterator[tuple[int, bytes]], keep_bodies: bool, follow: Follow | None
    ) -> None:
        self.requests = requests
        self.keep_bodies = keep_bodies
        self.follow = follow
        self.load = Load()
        self.open = 0
        self.stopping = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def closed(self, error: Exception | None) -> None:
        self.open -= 1
        if not self.done.done():
            if error is not None:
                self.done.set_exception(error)
            elif self.open == 0:
                self.done.set_result(None)


class _Connection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._parts: list[bytes] = []
        self._missing = 0
        self._number = 0
        self._sent = 0.0
        self._finished = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)
        self._run.open += 1

    def send_next(self) -> None:
        found = None if self._run.stopping else next(self._run.requests, None)
        if found is None:
            self._finished = True
            self._transport.close()
            return
        self._number, data = found
        self._sent = time.perf_counter()
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._parts.append(data)
            self._missing -= len(data)
            if self._missing <= 0:
                self._answered(b"".join(self._parts))
            return
        if self._parts:
            data = self._parts.pop() + data
        end = data.find(_END)
        if end < 0:
            self._parts.append(data)
            return
        at = data.find(_LENGTH, 0, end)
        length = int(data[at + len(_LENGTH) : data.index(b"\r\n", at)]) if at >= 0 else 0
        self._missing = end + len(_END) + length - len(data)
        if self._missing > 0:
            self._parts.append(data)
        else:
            self._answered(data)

    def _answered(self, answer: bytes) -> None:
        self._parts.clear()
        self._missing = 0
        run, load = self._run, self._run.load
        status = int(answer[9:12])
        if run.follow is not None:
            after = run.follow(status, answer[answer.index(_END) + 4 :])
            if after is not None:
                self._transport.write(after)
                return
        load.latencies.append(time.perf_counter() - self._sent)
        load.statuses[status] += 1
        body = answer[answer.index(_END) + 4 :] if run.keep_bodies else b""
        load.answers.append((self._number, status, body))
        self.send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._finished:
            exc = exc or ConnectionError("the server closed a connection under load")
        self._run.closed(exc)


async def send(
    port: int,
    requests: Sequence[bytes],
    *,
    connections: int,
    keep_bodies: bool = False,
    follow: Follow | None = None,
) -> Load:
    """Send every request once, over that many connections; returns when all are answered."""
    run = _Run(iter(enumerate(requests)), keep_bodies, follow)
    opened = await _open(port, run, min(connections, len(requests)))
    started = time.perf_counter()
    for connection in opened:
        connection.send_next()
    await run.done
    run.load.elapsed = time.perf_counter() - started
    return run.load


@asynccontextmanager
async def meanwhile(
    port: int, requests: Sequence[bytes], *, connections: int
) -> AsyncIterator[Load]:
    """Send the requests round and round until the block ends."""
    run = _Run(iter(cycle(enumerate(requests))), keep_bodies=False, follow=None)
    started = time.perf_counter()
    for connection in await _open(port, run, connections):
        connection.send_next()
    try:
        yield run.load
    finally:
        run.stopping = True
        await run.done
        run.load.elapsed = time.perf_counter() - started


async def _open(port: int, run: _Run, connections: int) -> list[_Connection]:
    loop = asyncio.get_running_loop()
    opened = []
    for _ in range(connections):
        _, connection = await loop.create_connection(lambda: _Connection(run), "127.0.0.1", port)
        opened.append(connection)
    return opened
