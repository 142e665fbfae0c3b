"""A lean HTTP/1.1 client: keep-alive connections that send prepared bytes one after the other."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

Prepare = Callable[[int], bytes]

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass
class Load:
    """What came back. Latencies are seconds."""

    elapsed: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        return len(self.latencies)

    @property
    def rate(self) -> float:
        return self.count / self.elapsed

    def quantile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def request(
    method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> bytes:
    """One request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def run(port: int, prepare: Prepare, *, count: int, connections: int) -> Load:
    """Send requests 0 … count-1, made by *prepare*, over that many connections."""
    load = Load()
    numbers = iter(range(count))
    started = time.perf_counter()

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for number in numbers:
                data = prepare(number)
                sent = time.perf_counter()
                writer.write(data)
                head = await reader.readuntil(b"\r\n\r\n")
                found = _LENGTH.search(head)
                if found is not None:
                    await reader.readexactly(int(found[1]))
                load.latencies.append(time.perf_counter() - sent)
                load.statuses[int(head[9:12])] += 1
        finally:
            writer.close()

    await asyncio.gather(*(connection() for _ in range(connections)))
    load.elapsed = time.perf_counter() - started
    return load
