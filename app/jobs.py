"""Every job by name: the table of contents of background work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from sqlalchemy import URL

from app.auth import jobs as auth
from app.budgets import jobs as budgets
from app.credits import jobs as credits
from app.discounts import jobs as discounts
from app.doctor import jobs as doctor
from app.infra.http.provide import Services
from app.infra.jobs import housekeeping
from app.infra.jobs.worker import Handler, Payload, Worker
from app.invoices import jobs as invoices
from app.kernel.clock import Clock
from app.metered import jobs as metered
from app.notifications import jobs as notifications
from app.payments import jobs as payments
from app.reconciliation import jobs as reconciliation
from app.recovery import jobs as recovery
from app.schedule import SCHEDULE
from app.sinks import jobs as sinks
from app.subscriptions import jobs as subscriptions
from app.usage import jobs as usage
from app.webhooks import jobs as webhooks

Job = Callable[[Payload, Services], Awaitable[None]]

FEATURE_JOBS: tuple[Mapping[str, Job], ...] = (
    housekeeping.JOBS,
    auth.JOBS,
    credits.JOBS,
    discounts.JOBS,
    doctor.JOBS,
    subscriptions.JOBS,
    usage.JOBS,
    sinks.JOBS,
    budgets.JOBS,
    invoices.JOBS,
    payments.JOBS,
    recovery.JOBS,
    metered.JOBS,
    webhooks.JOBS,
    reconciliation.JOBS,
    notifications.JOBS,
)


def handlers(services: Services) -> dict[str, Handler]:
    """Each job bound to the services it works with. A name registered twice raises."""
    bound: dict[str, Handler] = {}
    for jobs in FEATURE_JOBS:
        for name, job in jobs.items():
            if name in bound:
                raise LookupError(f"two jobs are called {name}")
            bound[name] = partial(_run, job, services)
    return bound


async def _run(job: Job, services: Services, payload: Payload) -> None:
    await job(payload, services)


def build_worker(services: Services) -> Worker:
    return Worker(
        services[URL],
        handlers(services),
        SCHEDULE,
        services[Clock],  # type: ignore[type-abstract]
    )
