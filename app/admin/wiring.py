"""How the operators' API is built."""

from app.admin.queries import AdminQueries
from app.admin.service import AdminService
from app.catalog.service import CatalogService
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.kernel.clock import Clock


def register(services: Services) -> None:
    work = services[UnitOfWork]
    services.add(
        AdminService,
        AdminService(
            work,
            AdminQueries(work),
            services[CatalogService],
            services[Clock],  # type: ignore[type-abstract]
        ),
    )
