"""The front door for background work: `python -m app.worker`."""

from __future__ import annotations

import asyncio
import signal

import structlog

from app.infra.lifecycle import Lifecycle
from app.infra.settings import Settings
from app.infra.telemetry.logging import configure_logging
from app.jobs import build_worker
from app.wiring import build_services

log = structlog.get_logger(__name__)


async def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT, then finish what is running and return."""
    services = build_services(settings)
    lifecycle = services[Lifecycle]
    worker = build_worker(services)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    await lifecycle.start()
    log.info("worker.started")
    try:
        await worker.run()
    finally:
        await lifecycle.stop()
        log.info("worker.stopped")


def main() -> None:
    settings = Settings()
    configure_logging(settings.log_level, json=settings.env == "production")
    asyncio.run(run(settings))


if __name__ == "__main__":
    main()
