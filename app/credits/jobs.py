"""Background work of credits."""

from datetime import datetime
from uuid import UUID

from app.credits.service.auto_top_up import CONSIDER
from app.credits.service.lapsing import Lapsing
from app.credits.service.top_ups import STOP, TopUpDesk
from app.credits.service.topping_up import ToppingUp
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
    await services[Using].follow(_owner(payload), datetime.fromisoformat(payload["at"]))


async def top_up(payload: Payload, services: Services) -> None:
    await services[ToppingUp].consider(_owner(payload))


async def stop_top_up(payload: Payload, services: Services) -> None:
    await services[TopUpDesk].stop(_owner(payload), UUID(payload["top_up_id"]))


async def sweep_top_ups(payload: Payload, services: Services) -> None:
    await services[ToppingUp].sweep()


def _owner(payload: Payload) -> OrganizationId:
    return OrganizationId(UUID(payload["organization_id"]))


JOBS = {
    "credits.settle_use": settle_use,
    "credits.follow_plan": follow_plan,
    "credits.let_lapse": let_lapse,
    "credits.warn_of_expiry": warn_of_expiry,
    CONSIDER: top_up,
    STOP: stop_top_up,
    "credits.sweep_top_ups": sweep_top_ups,
}
