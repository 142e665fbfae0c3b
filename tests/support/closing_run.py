"""One run that closes windows, as a process that a test can kill.

`python -m tests.support.closing_run INSTANT` with DATABASE_URL set: says `ready`, waits for a line,
then says the id of each organization it is through with, and `done`.
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
    services = build_services(settings_for(url), clock=clock)
    try:
        say("ready")
        sys.stdin.readline()
        await services[InvoiceRun].close(tell=say, anywhere=True)
        say("done")
    finally:
        await services[AsyncEngine].dispose()


if __name__ == "__main__":
    asyncio.run(main())
