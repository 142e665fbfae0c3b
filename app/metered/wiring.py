"""How metered billing is built."""

from app.audit.service import AuditLog
from app.catalog.service import CatalogService
from app.gateways.stripe.metering import MeteringGateway
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.infra.settings import Settings
from app.kernel.clock import Clock
from app.metered.repository import BatchRepository, EnrolmentRepository
from app.metered.service import (
    BatchService,
    Enrolments,
    MeteredCorrections,
    MeteredSummaries,
    MeterErrors,
    UsageCollector,
    UsageReporter,
)
from app.organizations.service import OrganizationService
from app.sinks.service.attempts import Attempts
from app.subscriptions.metering import MeteredPlans
from app.subscriptions.service import SubscriptionService
from app.usage.service.feeds import UsageFeeds


def register(services: Services) -> None:
    work, feeds = services[UnitOfWork], services[UsageFeeds]
    subscriptions = services[SubscriptionService]
    clock: Clock = services[Clock]  # type: ignore[type-abstract]
    stripe: MeteringGateway = services[MeteringGateway]  # type: ignore[type-abstract]
    is_configured = services[Settings].stripe_configured
    batches, rows = BatchRepository(work), EnrolmentRepository(work)
    who = services.add(
        Enrolments,
        Enrolments(work, rows, services[OrganizationService], services[CatalogService]),
    )
    services.add(MeteredPlans, who)  # type: ignore[type-abstract]
    services.add(
        UsageCollector,
        UsageCollector(work, feeds, batches, rows, who, clock, is_configured=is_configured),
    )
    services.add(
        UsageReporter,
        UsageReporter(
            work,
            batches,
            services[Attempts],
            subscriptions,
            stripe,
            clock,
            is_configured=is_configured,
        ),
    )
    services.add(MeteredCorrections, MeteredCorrections(work, feeds, batches, rows, who, clock))
    services.add(MeterErrors, MeterErrors(work, batches, stripe, clock))
    services.add(
        MeteredSummaries,
        MeteredSummaries(work, feeds, batches, rows, who, subscriptions, stripe, clock),
    )
    services.add(BatchService, BatchService(work, batches, services[AuditLog], clock))
