"""The platform's own job: forget what has expired."""

from app.infra.http.idempotency import IdempotencyKeys
from app.infra.http.provide import Services
from app.infra.http.rate_limit import RateLimiter
from app.infra.jobs.worker import Payload


async def clean_up(payload: Payload, services: Services) -> None:
    """Delete idempotency keys older than 48 hours and rate-limit windows that are over."""
    await services[IdempotencyKeys].forget_old()
    await services[RateLimiter].forget_expired()


JOBS = {"platform.clean_up": clean_up}
