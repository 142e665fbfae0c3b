"""Child processes that end with their parent, however it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import structlog

log = structlog.get_logger(__name__)

# A child that lived this long did not fail because of how it was started.
_SETTLED_SECONDS = 30.0
_LONGEST_PAUSE_SECONDS = 10.0
_STDIN = 0


class Child:
    """A process that is started again when it crashes, and stopped when asked.

    It holds the reading end of a pipe as its standard input. The kernel closes the other end when
    this process dies, also by kill -9, and the child ends (see `end_with_parent`). Children
    have a session of their own, so that Ctrl-C reaches the parent alone and it can stop them in order.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        descriptors: Sequence[int] = (),
    ) -> None:
        self.name = name
        self._command = list(command)
        self._environment = dict(environment)
        self._descriptors = tuple(descriptors)
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._quick_deaths = 0
        self._start_again_at: float | None = None
        self._told: bytes | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            env=self._environment,
            pass_fds=self._descriptors,
            start_new_session=True,
        )
        self._started_at = time.monotonic()
        self._start_again_at = None
        if self._told is not None:
            self._send(self._told)

    def tell(self, environment: Mapping[str, str]) -> None:
        """Hand over what was not known at its start (see `wait_for_word`); kept for restarts."""
        self._told = json.dumps(dict(environment)).encode() + b"\n"
        self._send(self._told)

    def exit_code(self) -> int | None:
        """How it ended, or None while it runs."""
        return self._process.poll() if self._process else None

    def look_after(self) -> int | None:
        """Start it again after a crash, later each time it fails at once; return the pid that died."""
        now = time.monotonic()
        if self._start_again_at is not None:
            if now >= self._start_again_at:
                self.start()
            return None
        code = self.exit_code()
        if code is None or self._process is None:
            return None
        settled = now - self._started_at > _SETTLED_SECONDS
        self._quick_deaths = 0 if settled else self._quick_deaths + 1
        pause = 0.0 if settled else min(0.5 * 2**self._quick_deaths, _LONGEST_PAUSE_SECONDS)
        log.error("processes.child_died", child=self.name, code=code, again_in_seconds=pause)
        self._start_again_at = now + pause
        self._close_pipe()
        return self._process.pid

    def ask_to_stop(self) -> None:
        self._start_again_at = None
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def wait_stopped(self, patience: float) -> None:
        """Wait until it has ended; one that does not end in time is killed."""
        if self._process is None:
            return
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            log.error("processes.child_killed", child=self.name, after_seconds=patience)
            self._process.kill()
            self._process.wait()
        self._close_pipe()

    def _send(self, line: bytes) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(BrokenPipeError):  # it died; whoever looks after it will see
                self._process.stdin.write(line)
                self._process.stdin.flush()

    def _close_pipe(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()


def wait_for_word() -> None:
    """In a child: wait until the parent has told it the rest of its environment."""
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(_STDIN, 65_536)
        if not part:
            sys.exit(0)
        line += part
    os.environ.update(json.loads(line))


def end_with_parent() -> None:
    """In a child: ask this process to stop as soon as its parent is gone."""
    threading.Thread(target=_wait_for_the_end, name="end-with-parent", daemon=True).start()


def _wait_for_the_end() -> None:
    # Not sys.stdin: the interpreter cannot shut down while a thread is inside its buffer.
    while os.read(_STDIN, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def bind(host: str, port: int, *, patience: float = 5.0) -> socket.socket:
    """Reserve an address for the children to listen on; nothing connects before one of them does.

    Children of a killed parent may hold the address for a moment more, so this waits for them.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    deadline = time.monotonic() + patience
    while True:
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            listener.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            listener.set_inheritable(True)
            return listener
