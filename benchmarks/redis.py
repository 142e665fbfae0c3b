"""A Redis to compare with, where this machine has one."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Redis:
    """A server that keeps nothing on disk, reached through a socket as Postgres is."""

    socket: Path
    pid: int


@asynccontextmanager
async def redis(directory: Path) -> AsyncIterator[Redis | None]:
    """Start `redis-server`; `None` where it is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    socket = directory / "redis.sock"
    command = [program, "--port", "0", "--unixsocket", str(socket)]
    command += ["--save", "", "--appendonly", "no", "--loglevel", "warning"]
    process = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if socket.exists():
                break
            await asyncio.sleep(0.05)
        yield Redis(socket, process.pid)
    finally:
        process.terminate()
        process.wait(10)
