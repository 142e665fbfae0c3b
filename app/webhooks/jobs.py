"""Background work of the inbox."""

from app.infra.http.provide import Services
from app.infra.jobs.worker import Payload
from app.webhooks.service.inbox import StripeInbox
from app.webhooks.statement import HANDLE_JOB


async def handle_stripe_event(payload: Payload, services: Services) -> None:
    await services[StripeInbox].handle(payload["event_id"])


async def sweep_stripe_events(payload: Payload, services: Services) -> None:
    await services[StripeInbox].sweep()


async def forget_stripe_payloads(payload: Payload, services: Services) -> None:
    await services[StripeInbox].forget_payloads()


JOBS = {
    HANDLE_JOB: handle_stripe_event,
    "webhooks.sweep_stripe_events": sweep_stripe_events,
    "webhooks.forget_stripe_payloads": forget_stripe_payloads,
}
