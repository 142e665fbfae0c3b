"""How invoices are built."""

from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.infra.lifecycle import Lifecycle
from app.infra.settings import Settings
from app.invoices.document import Party
from app.invoices.numbering import InvoiceNumbers
from app.invoices.pdf import Press
from app.invoices.repository import InvoiceRepository, NumberRepository, PaidRepository
from app.invoices.service.mirror import InvoiceMirror
from app.invoices.service.reading import InvoiceService
from app.invoices.service.spending import PaidSpend
from app.kernel.clock import Clock
from app.kernel.settling import SpendReader
from app.organizations.service import OrganizationService


def register(services: Services) -> None:
    work = services[UnitOfWork]
    invoices = InvoiceRepository(work)
    press = Press()
    services[Lifecycle].add(press.open, press.close)
    services.add(
        InvoiceMirror,
        InvoiceMirror(
            work,
            invoices,
            services[OrganizationService],
            seller_of(services[Settings]),
            services[Clock],  # type: ignore[type-abstract]
        ),
    )
    services.add(InvoiceService, InvoiceService(work, invoices, press))
    services.add(InvoiceNumbers, InvoiceNumbers(work, NumberRepository(work)))
    paid = PaidSpend(work, PaidRepository(work))
    services.add(SpendReader, paid)  # type: ignore[type-abstract]


def seller_of(settings: Settings) -> Party:
    """Who sells, as documents say it; `|` or a line break separates the lines of the address."""
    address = settings.seller_address.replace("|", "\n").splitlines()
    return Party(
        name=settings.seller_name,
        address=tuple(part.strip() for part in address if part.strip()),
        email=settings.seller_email or settings.smtp_from,
        tax_id=settings.seller_tax_id,
    )
