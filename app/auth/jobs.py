"""Background work of sign-in."""

from app.auth.service import RevocationService
from app.infra.http.provide import Services
from app.infra.jobs.worker import Payload


async def forget_expired(payload: Payload, services: Services) -> None:
    """Delete sessions, tokens and revocations that have run out."""
    await services[RevocationService].forget_expired()


JOBS = {"auth.forget_expired": forget_expired}
