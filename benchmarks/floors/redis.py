"""Check and consume by a Lua script in Redis: in memory, nothing on disk, no repeat noticed."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AsyncExitStack
from typing import cast

from redis.asyncio import BlockingConnectionPool, Redis, UnixDomainSocketConnection

from benchmarks.floors.work import Run, Task, share

_SCRIPT = """
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
if used + tonumber(ARGV[1]) > tonumber(ARGV[2]) then return -1 end
return redis.call('INCRBY', KEYS[1], ARGV[1])
"""


class _Connection(asyncio.Protocol):
    """Speaks as much RESP as one-line answers and short strings need."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[bytes]] = deque()
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)

    def send(self, command: bytes) -> asyncio.Future[bytes]:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._transport.write(command)
        return answer

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        for line in lines:
            if line.startswith(b"$"):
                continue
            if line.startswith(b"-"):
                raise ConnectionError(line.decode())
            self._waiting.popleft().set_result(line)


def _command(*words: str) -> bytes:
    parts = [f"${len(word)}\r\n{word}\r\n" for word in words]
    return f"*{len(parts)}\r\n{''.join(parts)}".encode()


async def consume(task: Task, stack: AsyncExitStack) -> Run:
    """As many callers as there are connections; `pipelined`, they all share one."""
    loop = asyncio.get_running_loop()

    async def connect() -> _Connection:
        transport, connection = await loop.create_unix_connection(_Connection, task.url)
        stack.callback(transport.close)
        return connection

    limit, _, pipelined = task.extra.partition(" ")
    pool = [await connect() for _ in range(1 if pipelined else task.connections)]
    digest = (await pool[0].send(_command("SCRIPT", "LOAD", _SCRIPT))).decode()
    command = _command("EVALSHA", digest, "1", task.organization + task.name, "1", limit)
    idle = deque(pool)

    async def once() -> None:
        if pipelined:
            await pool[0].send(command)
            return
        connection = idle.popleft()
        await connection.send(command)
        idle.append(connection)

    async def run() -> list[float]:
        return await share([once] * task.count, task.connections)

    return run


async def consume_by_client(task: Task, stack: AsyncExitStack) -> Run:
    """The same script by redis-py with a connection a caller, as a service in Python asks."""
    pool = BlockingConnectionPool(
        task.connections, connection_class=UnixDomainSocketConnection, path=task.url
    )
    client = await stack.enter_async_context(Redis(connection_pool=pool))
    script = client.register_script(_SCRIPT)
    key, limit = task.organization + task.name, task.extra
    await client.script_load(_SCRIPT)

    async def once() -> None:
        await script(keys=[key], args=[1, limit])

    async def run() -> list[float]:
        return await share([once] * task.count, task.connections)

    return run
