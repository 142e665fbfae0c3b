"""Background work of credits."""

from datetime import datetime
from uuid import UUID

from app.credits.service.lapsing import Lapsing
from app.credits.service.using import Using
from app.infra.http.provide import Services
from app.infra.jobs.worker import Payload
from app.kernel.ids import OrganizationId


async def let_lapse(payload: Payload, services: Services) -> None:
    await services[Lapsing].let_lapse()


async def warn_of_expiry(payload: Payload, services: Services) -> None:
    await services[Lapsing].warn()


async def settle_use(payload: Payload, services: Services) -> None:
    await services[Using].settle()


async def follow_plan(payload: Payload, services: Services) -> None:
    organization_id = OrganizationId(UUID(payload["organization_id"]))
    await services[Using].follow(organization_id, datetime.fromisoformat(payload["at"]))


JOBS = {
    "credits.settle_use": settle_use,
    "credits.follow_plan": follow_plan,
    "credits.let_lapse": let_lapse,
    "credits.warn_of_expiry": warn_of_expiry,
}
