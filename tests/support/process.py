"""The service as a process of its own, for what only a process can show: kill -9, two at once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import httpx
from sqlalchemy import URL

from app.cli.processes import bind
from tests.support.service import TEST_SECRET

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A process that serves the real application on loopback, as `serve` starts it."""

    def __init__(
        self, database: URL, data_dir: Path, *, port: int | None = None, **env: str
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = data_dir / f"service-{self.port}.log"
        self._environment = {
            **{name: value for name, value in os.environ.items() if name not in _OURS},
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": database.render_as_string(hide_password=False),
            "ARAGORA_ENV": "test",
            "ARAGORA_JWT_SECRET": TEST_SECRET,
            "ARAGORA_RATE_LIMITS": "off",
            "ARAGORA_JOBS": "separate",
            "ARAGORA_DATA_DIR": str(data_dir),
            **env,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Process:
        """Start and wait until it is ready to serve."""
        with bind("127.0.0.1", self.port) as listener, self._log.open("ab") as log:
            descriptor = listener.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app.cli.api", "--fd", str(descriptor)],
                env=self._environment,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[descriptor],
            )
        assert self._process.stdin is not None
        self._process.stdin.write(b"{}\n")
        self._process.stdin.flush()
        # Patient, because the machine may be busy with everything else; a crash is noticed at once.
        deadline = time.monotonic() + 90
        while not self.is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(self._log.read_text()[-4000:])
            time.sleep(0.05)
        return self

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/ready", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nobody is told."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        self._close_pipe()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(30)
        self._close_pipe()  # also of one that has ended by itself

    def _close_pipe(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


_OURS = {
    name
    for name in os.environ
    if name.startswith(("ARAGORA_", "STRIPE_", "LAGO_")) or name in {"DATABASE_URL", "REDIS_URL"}
}
