"""How payments are built."""

from app.audit.service import AuditLog
from app.credits.service.taking_back import TakingBack
from app.gateways.stripe.payments import PaymentsGateway
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.infra.settings import Settings
from app.invoices.domain import PaymentBook
from app.invoices.service.notes import NotePromises
from app.invoices.service.reading import InvoiceService
from app.invoices.service.returning import MoneyLeft
from app.kernel.clock import Clock
from app.organizations.service import OrganizationService
from app.payments.repository import PaymentRepository
from app.payments.service import DisputeService, PaymentMirror, PaymentReports, RefundService
from app.payments.service.book import PaymentsOfInvoices
from app.payments.service.bought_credit import BoughtCredit
from app.payments.service.intake import PaymentIntake
from app.payments.service.promised import PromisedRefunds
from app.payments.service.standing import DisputeStanding
from app.subscriptions.service.known import KnownAtStripe


def register_book(services: Services) -> None:
    """What invoices ask of payments, which stand above them."""
    work = services[UnitOfWork]
    services.add(PaymentBook, PaymentsOfInvoices(work, PaymentRepository(work)))  # type: ignore[type-abstract]


def register(services: Services) -> None:
    work, organizations = services[UnitOfWork], services[OrganizationService]
    invoices = services[InvoiceService]
    clock: Clock = services[Clock]  # type: ignore[type-abstract]
    stripe: PaymentsGateway = services[PaymentsGateway]  # type: ignore[type-abstract]
    rows = PaymentRepository(work)
    suspends = services[Settings].dispute_policy == "suspend"
    standing = DisputeStanding(work, rows, organizations, suspends=suspends)
    mirror = services.add(PaymentMirror, PaymentMirror(work, rows, standing, clock))
    reports = services.add(PaymentReports, PaymentReports(work, rows, stripe))
    services.add(PaymentIntake, PaymentIntake(work, invoices, reports, mirror))
    services.add(
        RefundService,
        RefundService(
            work,
            rows,
            reports,
            mirror,
            services[KnownAtStripe],
            invoices,
            services[MoneyLeft],
            stripe,
            services[AuditLog],
            clock,
        ),
    )
    services.add(
        PromisedRefunds,
        PromisedRefunds(work, services[NotePromises], services[RefundService], reports),
    )
    services.add(BoughtCredit, BoughtCredit(work, rows, services[TakingBack]))
    services.add(DisputeService, DisputeService(work, rows))
