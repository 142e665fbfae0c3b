"""One run that closes windows, as a process of its own.

`python -m benchmarks.closing_runner INSTANT` with the service's environment: says `ready`, waits
for a line, runs, says in JSON what it did and what each organization took, and waits for a line
again, so that its CPU time can still be read.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import datetime
from time import perf_counter
from typing import Any
from uuid import UUID

import uvloop
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from app.infra.settings import Settings
from app.infra.telemetry.logging import configure_logging
from app.invoices.service.running import InvoiceRun
from app.kernel.clock import ManualClock
from app.wiring import build_services


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


async def main() -> None:
    configure_logging("error", json=False)
    clock = ManualClock(datetime.fromisoformat(sys.argv[1]))
    services = build_services(Settings(), clock=clock)
    engine = services[AsyncEngine]
    sent = 0
    statements: list[int] = []
    seconds: list[float] = []

    def count(*_: Any) -> None:
        nonlocal sent
        sent += 1

    event.listen(engine.sync_engine, "before_cursor_execute", count)
    last = 0.0

    def tell(_: UUID) -> None:
        nonlocal sent, last
        now = perf_counter()
        seconds.append(now - last)
        statements.append(sent)
        last, sent = now, 0

    _say("ready")
    sys.stdin.readline()
    last = perf_counter()
    report = await services[InvoiceRun].close(tell=tell, anywhere=True)
    answer = {
        "issued": report.issued,
        "failed": report.failed,
        "seconds": seconds,
        "statements": statements,
    }
    _say(json.dumps(answer))
    sys.stdin.readline()
    await engine.dispose()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
