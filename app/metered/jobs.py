"""Background work of metered billing."""

from datetime import datetime
from uuid import UUID

from app.infra.http.provide import Services
from app.infra.jobs.worker import Payload
from app.kernel.ids import OrganizationId
from app.metered.service import (
    BatchService,
    MeteredCorrections,
    UsageCollector,
    UsageReporter,
)


async def report(payload: Payload, services: Services) -> None:
    """Put what was recorded into batches, and tell Stripe of those that are due."""
    await services[UsageCollector].collect()
    await services[UsageReporter].send()


async def take_back(payload: Payload, services: Services) -> None:
    """Correct what Stripe was told of an event that was voided since."""
    await services[MeteredCorrections].take_back(
        OrganizationId(UUID(payload["organization_id"])),
        UUID(payload["event_id"]),
        datetime.fromisoformat(payload["occurred_at"]),
    )


async def forget_events(payload: Payload, services: Services) -> None:
    """Forget which events old portions hold."""
    await services[BatchService].forget_old_events()


JOBS = {
    "metered.report": report,
    "metered.take_back": take_back,
    "metered.forget_events": forget_events,
}
