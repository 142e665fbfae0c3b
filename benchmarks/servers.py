"""HTTP servers as processes: the service, the service without authentication, the rivals."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

import httpx


@dataclass(frozen=True)
class Server:
    """A server that takes requests."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


async def serve(
    target: str,
    environment: Mapping[str, str],
    *,
    probe: str,
    workers: int = 1,
    protocol: str = "httptools",
) -> Server:
    """Start *target* under uvicorn, as `make run` does, and wait until *probe* answers 200."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = int(reserved.getsockname()[1])
    command = [sys.executable, "-m", "uvicorn", target, "--port", str(port)]
    command += ["--no-access-log", "--no-server-header", "--log-level", "warning"]
    command += ["--loop", "uvloop", "--http", protocol, "--ws", "none", "--backlog", "2048"]
    command += ["--workers", str(workers)] if workers > 1 else []
    if target.endswith("create_app"):
        command.append("--factory")
    server = Server(port, subprocess.Popen(command, env={**os.environ, **environment}))
    try:
        await _ready(f"http://127.0.0.1:{port}{probe}", server)
    except BaseException:
        server.stop()
        raise
    return server


async def _ready(url: str, server: Server) -> None:
    deadline = time.monotonic() + 60
    async with httpx.AsyncClient() as http:
        while True:
            try:
                if (await http.get(url)).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            if server.process.poll() is not None:
                raise SystemExit(f"the server of {url} ended with {server.process.returncode}")
            if time.monotonic() > deadline:
                raise TimeoutError(url)
            await asyncio.sleep(0.1)
