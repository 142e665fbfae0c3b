"""How pricing is built: the book is seeded and read at start."""

from app.audit.service import AuditLog
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.infra.lifecycle import Lifecycle
from app.kernel.clock import Clock
from app.pricing.repository import PriceRepository
from app.pricing.service import PriceService


def register(services: Services) -> None:
    work = services[UnitOfWork]
    service = services.add(
        PriceService,
        PriceService(
            work,
            PriceRepository(work),
            services[AuditLog],
            services[Clock],  # type: ignore[type-abstract]
        ),
    )

    async def stop() -> None:
        return None

    services[Lifecycle].add(service.open, stop)
