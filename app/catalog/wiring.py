"""How the catalog is built: read at wiring time, stored at start."""

from app.catalog.document import StripePriceIds
from app.catalog.repository import CatalogRepository
from app.catalog.service import CatalogService
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.infra.lifecycle import Lifecycle
from app.infra.settings import Settings
from app.kernel.clock import Clock


def register(services: Services) -> None:
    work = services[UnitOfWork]
    settings = services[Settings]
    prices = settings.stripe_prices
    service = services.add(
        CatalogService,
        CatalogService(
            work,
            CatalogRepository(work),
            services[Clock],  # type: ignore[type-abstract]
            settings.catalog,
            StripePriceIds(prices.plans, prices.metered),
        ),
    )

    async def stop() -> None:
        return None

    services[Lifecycle].add(service.store_active, stop)
