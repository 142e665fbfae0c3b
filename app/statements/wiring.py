"""How statements are built."""

from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.infra.settings import Settings
from app.invoices.html import Pages
from app.invoices.pdf import Press
from app.invoices.service.details import BillingDetailsService
from app.invoices.wiring import seller_of
from app.kernel.clock import Clock
from app.organizations.service import OrganizationService
from app.statements.queries import StatementQueries
from app.statements.service import Statements


def register(services: Services) -> None:
    work = services[UnitOfWork]
    services.add(
        Statements,
        Statements(
            work,
            StatementQueries(work),
            services[OrganizationService],
            services[BillingDetailsService],
            seller_of(services[Settings]),
            services[Press],
            services[Pages],
            services[Clock],  # type: ignore[type-abstract]
        ),
    )
