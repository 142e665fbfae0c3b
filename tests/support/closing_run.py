"""Runs that close windows, in a process that a test can kill.

`python -m tests.support.closing_run INSTANT RUNS` with DATABASE_URL set: says `ready`, waits for a line,
then says the id of each organization a run is through with, and `done` when all of them are.
The runs share nothing, as if each had a process of its own.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import datetime

from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from app.infra.telemetry.logging import configure_logging
from app.invoices.service.running import InvoiceRun
from app.kernel.clock import ManualClock
from app.wiring import build_services
from tests.support.service import settings_for


def say(words: object) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


async def main() -> None:
    configure_logging("error", json=False)
    url = make_url(os.environ["DATABASE_URL"])
    clock = ManualClock(datetime.fromisoformat(sys.argv[1]))
    each = [build_services(settings_for(url), clock=clock) for _ in range(int(sys.argv[2]))]
    try:
        say("ready")
        sys.stdin.readline()
        await asyncio.gather(
            *(services[InvoiceRun].close(tell=say, anywhere=True) for services in each)
        )
        say("done")
    finally:
        for services in each:
            await services[AsyncEngine].dispose()


if __name__ == "__main__":
    asyncio.run(main())
