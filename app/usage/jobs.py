"""Background work of usage."""

from app.infra.http.provide import Services
from app.infra.jobs.worker import Payload
from app.usage.service.corrections import UsageCorrections
from app.usage.service.partitions import Partitions


async def price_waiting(payload: Payload, services: Services) -> None:
    """Price what had no price and can have one now."""
    await services[UsageCorrections].price_waiting()


async def make_partitions(payload: Payload, services: Services) -> None:
    """Make the partitions of the months to come."""
    await services[Partitions].make()


JOBS = {
    "usage.price_waiting": price_waiting,
    "usage.make_partitions": make_partitions,
}
