"""A process that collects usage and tells Stripe of it until it is killed.

`python -m tests.support.teller DATABASE_URL STRIPE_URL NOW`; it says `ready` when it begins.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime

from pydantic import SecretStr
from sqlalchemy import make_url

from app.infra.lifecycle import Lifecycle
from app.kernel.clock import ManualClock
from app.metered.service import UsageCollector, UsageReporter
from app.wiring import build_services
from tests.support.service import settings_for
from tests.support.stripe_account import PRICES


async def tell(database_url: str, stripe_url: str, now: str) -> None:
    settings = settings_for(
        make_url(database_url),
        stripe_secret_key=SecretStr("sk_test_sandbox"),
        stripe_api_base=stripe_url,
        **PRICES,
    )
    services = build_services(settings, clock=ManualClock(datetime.fromisoformat(now)))
    await services[Lifecycle].start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        await services[UsageCollector].collect()
        await services[UsageReporter].send()
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    asyncio.run(tell(*sys.argv[1:]))
