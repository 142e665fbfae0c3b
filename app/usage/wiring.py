"""How usage is built, and how its group commit lives with the process."""

from sqlalchemy import URL

from app.audit.service import AuditLog
from app.catalog.service import CatalogService
from app.credits.domain import CreditUse
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.infra.lifecycle import Lifecycle
from app.kernel.clock import Clock
from app.organizations.domain import UsageReader
from app.organizations.service import OrganizationService
from app.pricing.service import PriceService
from app.usage.repository.corrections import CorrectionRepository
from app.usage.repository.costs import CostRepository
from app.usage.repository.feeds import FeedRepository
from app.usage.repository.folding import FoldingRepository
from app.usage.repository.listing import ListingRepository
from app.usage.repository.partitions import PartitionRepository
from app.usage.repository.prepaid import PrepaidRepository
from app.usage.repository.reading import UsageRepository
from app.usage.repository.recount import RecountRepository
from app.usage.repository.reservations import ReservationRepository
from app.usage.repository.spend import SpendRepository
from app.usage.repository.unpriced import UnpricedRepository
from app.usage.service.archive import ArchivedMonths, UsageArchives
from app.usage.service.closing import UsageClosing
from app.usage.service.corrections import UsageCorrections
from app.usage.service.costs import CostReports
from app.usage.service.export import UsageExports
from app.usage.service.feeds import UsageFeeds
from app.usage.service.folding import Folding
from app.usage.service.ingest import UsageIngest
from app.usage.service.notices import QuotaNotices
from app.usage.service.partitions import Partitions
from app.usage.service.prepaid import PrepaidUse
from app.usage.service.recount import WindowRecount
from app.usage.service.reservations import Reservations
from app.usage.service.settling import Settling
from app.usage.service.spend_limits import SpendLimits
from app.usage.service.spend_notices import SpendNotices
from app.usage.service.standing import Standings
from app.usage.service.tenants import Tenants
from app.usage.service.unpriced import UnpricedAlerts
from app.usage.service.usage import UsageService


def register_prepaid(services: Services) -> None:
    """What credits, which are registered before usage, ask of it."""
    work = services[UnitOfWork]
    services.add(CreditUse, PrepaidUse(work, PrepaidRepository(work)))  # type: ignore[type-abstract]


def register(services: Services) -> None:
    work = services[UnitOfWork]
    clock = services[Clock]  # type: ignore[type-abstract]
    catalogs, prices = services[CatalogService], services[PriceService]
    usage = UsageRepository(work)
    months = PartitionRepository(work)
    archived = services.add(ArchivedMonths, ArchivedMonths(months, clock))
    tenants = services.add(Tenants, Tenants(work, usage, services[OrganizationService]))
    notices = QuotaNotices(work, usage)
    standings = Standings(services[URL], tenants, clock)
    reader = services.add(
        UsageService, UsageService(work, usage, tenants, standings, catalogs, archived, clock)
    )
    services.add(UsageReader, reader)  # type: ignore[type-abstract]
    costs = CostRepository(work)
    services.add(CostReports, CostReports(work, costs, usage, reader, prices, archived, clock))
    services.add(UsageClosing, UsageClosing(work, costs, catalogs, archived))
    services.add(UnpricedAlerts, UnpricedAlerts(work, UnpricedRepository(work), clock))
    recounts = RecountRepository(work)
    spend = SpendRepository(work)
    spend_notices = services.add(SpendNotices, SpendNotices(work, spend, clock))
    services.add(SpendLimits, SpendLimits(work, spend, spend_notices, clock))
    services.add(
        UsageCorrections,
        UsageCorrections(
            work,
            CorrectionRepository(work),
            recounts,
            spend,
            spend_notices,
            reader,
            prices,
            services[AuditLog],
            clock,
        ),
    )
    services.add(UsageFeeds, UsageFeeds(work, FeedRepository(work), clock))
    services.add(Folding, Folding(work, FoldingRepository(work), clock))
    services.add(UsageExports, UsageExports(work, ListingRepository(work), archived, clock))
    services.add(
        WindowRecount,
        WindowRecount(work, recounts, services[OrganizationService], clock),
    )
    partitions = services.add(Partitions, Partitions(work, months, clock))
    services.add(UsageArchives, UsageArchives(work, months, clock))
    ingest = services.add(
        UsageIngest,
        UsageIngest(services[URL], catalogs, prices, tenants, notices, spend_notices, clock),
    )

    reservations = services.add(
        Reservations,
        Reservations(
            services[URL], work, ReservationRepository(work), catalogs, prices, tenants, clock
        ),
    )

    settling = services.add(
        Settling, Settling(services[URL], ingest, reservations, prices, tenants, clock)
    )

    async def start() -> None:
        await partitions.make()
        await ingest.open()
        await reservations.open()
        await settling.open()
        await standings.open()

    async def stop() -> None:
        await reservations.close()
        await settling.close()
        await ingest.close()
        await standings.close()
        await notices.finish()
        await spend_notices.finish()

    services[Lifecycle].add(start, stop)
