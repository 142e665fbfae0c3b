"""How recovery is built."""

from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.kernel.clock import Clock
from app.organizations.service import OrganizationService
from app.recovery.repository import RecoveryRepository
from app.recovery.service import RecoveryService
from app.subscriptions.service import SubscriptionMirror, SubscriptionService


def register(services: Services) -> None:
    work = services[UnitOfWork]
    services.add(
        RecoveryService,
        RecoveryService(
            work,
            RecoveryRepository(work),
            services[SubscriptionMirror],
            services[SubscriptionService],
            services[OrganizationService],
            services[Clock],  # type: ignore[type-abstract]
        ),
    )
