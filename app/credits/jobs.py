"""Background work of credits."""

from app.credits.service.lapsing import Lapsing
from app.infra.http.provide import Services
from app.infra.jobs.worker import Payload


async def let_lapse(payload: Payload, services: Services) -> None:
    await services[Lapsing].let_lapse()


async def warn_of_expiry(payload: Payload, services: Services) -> None:
    await services[Lapsing].warn()


JOBS = {"credits.let_lapse": let_lapse, "credits.warn_of_expiry": warn_of_expiry}
