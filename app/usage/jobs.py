"""Background work of usage."""

from datetime import datetime
from uuid import UUID

from app.infra.http.provide import Services
from app.infra.jobs.worker import Payload
from app.kernel.ids import OrganizationId
from app.usage.service.corrections import UsageCorrections
from app.usage.service.folding import Folding
from app.usage.service.partitions import Partitions
from app.usage.service.recount import WindowRecount
from app.usage.service.reservations import Reservations
from app.usage.service.spend_notices import SpendNotices
from app.usage.service.unpriced import UnpricedAlerts


async def price_waiting(payload: Payload, services: Services) -> None:
    """Price what had no price and can have one now."""
    await services[UsageCorrections].price_waiting()


async def alert_unpriced(payload: Payload, services: Services) -> None:
    """Price what can be priced by now, and tell operators of the rest."""
    await services[UsageCorrections].price_waiting()
    await services[UnpricedAlerts].announce()


async def make_partitions(payload: Payload, services: Services) -> None:
    """Make the partitions of the months to come."""
    await services[Partitions].make()


async def fold_hours(payload: Payload, services: Services) -> None:
    """Fold the hours of days that came of age lately."""
    await services[Folding].fold_recent()


async def fold_all_hours(payload: Payload, services: Services) -> None:
    """Fold whatever a late void or backfill left by the hour, however long ago."""
    await services[Folding].fold_all()


async def place_again(payload: Payload, services: Services) -> None:
    """Count events in the window in which they happened, after windows have changed."""
    await services[WindowRecount].place_again(
        OrganizationId(UUID(payload["organization_id"])), datetime.fromisoformat(payload["since"])
    )


async def announce_spend(payload: Payload, services: Services) -> None:
    """Announce thresholds of spending that nobody has."""
    await services[SpendNotices].announce_missed()


async def expire_reservations(payload: Payload, services: Services) -> None:
    """Give back what reservations hold that nobody settled in time."""
    await services[Reservations].expire()


JOBS = {
    "usage.place_again": place_again,
    "usage.expire_reservations": expire_reservations,
    "usage.price_waiting": price_waiting,
    "usage.alert_unpriced": alert_unpriced,
    "usage.make_partitions": make_partitions,
    "usage.fold_hours": fold_hours,
    "usage.fold_all_hours": fold_all_hours,
    "usage.announce_spend": announce_spend,
}
