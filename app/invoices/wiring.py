"""How invoices are built."""

from datetime import timedelta

from app.audit.service import AuditLog
from app.catalog.service import CatalogService
from app.credits.service.top_ups import TopUpDesk
from app.gateways.stripe.collection import CollectionGateway
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.infra.lifecycle import Lifecycle
from app.infra.settings import Settings
from app.invoices.document import Party
from app.invoices.domain import (
    CreditLedger,
    DiscountBook,
    NoCredits,
    NoDiscounts,
    NoPayments,
    PaymentBook,
)
from app.invoices.html import Pages
from app.invoices.look import look_of
from app.invoices.numbering import InvoiceNumbers
from app.invoices.pdf import Press, proof
from app.invoices.repository.collections import CollectionRepository
from app.invoices.repository.details import DetailsRepository
from app.invoices.repository.documents import DocumentRepository
from app.invoices.repository.invoices import InvoiceRepository
from app.invoices.repository.notes import NoteRepository
from app.invoices.repository.numbers import NumberRepository
from app.invoices.repository.own import OwnInvoiceRepository
from app.invoices.repository.proofs import ProofRepository
from app.invoices.repository.sent_back import SentBackRepository
from app.invoices.service.aftermath import Aftermath
from app.invoices.service.collecting import InvoiceCollecting
from app.invoices.service.composing import Composer
from app.invoices.service.correcting import CreditNotes
from app.invoices.service.desk import InvoiceDesk
from app.invoices.service.details import BillingDetailsService
from app.invoices.service.exporting import InvoiceExports
from app.invoices.service.issuing import Dates, InvoiceIssuing
from app.invoices.service.mirror import InvoiceMirror
from app.invoices.service.notes import IssuedNotes, NotePromises
from app.invoices.service.paying import WaysToPay
from app.invoices.service.previewing import InvoicePreview
from app.invoices.service.proving import InvoiceProofs
from app.invoices.service.rating import WindowRating
from app.invoices.service.reading import InvoiceService
from app.invoices.service.receipts import Receipts
from app.invoices.service.returning import MoneyLeft
from app.invoices.service.running import InvoiceRun
from app.invoices.service.spending import PaidSpend
from app.invoices.service.terms import WindowTerms
from app.invoices.taxation import Seller
from app.kernel.clock import Clock
from app.kernel.settling import SpendReader
from app.organizations.service import OrganizationService
from app.organizations.service.held import HeldPlans
from app.pricing.service import PriceService
from app.subscriptions.service import ChangeService, SubscriptionService
from app.subscriptions.service.coverage import SubscriptionCoverage
from app.usage.service.closing import UsageClosing


def register(services: Services) -> None:
    work = services[UnitOfWork]
    clock: Clock = services[Clock]  # type: ignore[type-abstract]
    settings, organizations = services[Settings], services[OrganizationService]
    invoices = InvoiceRepository(work)
    look = look_of(settings.document_color, settings.document_logo)
    proof(look)
    press, pages = services.add(Press, Press(look)), services.add(Pages, Pages(look))
    services[Lifecycle].add(press.open, press.close)
    seller = seller_of(settings)
    notes, collections = NoteRepository(work), CollectionRepository(work)
    payments: PaymentBook = (
        services[PaymentBook] if PaymentBook in services else NoPayments()  # type: ignore[type-abstract]
    )
    aftermath = Aftermath(work, notes, collections, payments)
    services.add(InvoiceService, InvoiceService(work, invoices, aftermath, press, pages))
    services.add(InvoiceExports, InvoiceExports(work, invoices, aftermath, press, pages))
    services.add(
        Receipts,
        Receipts(
            work, services[InvoiceService], aftermath, OwnInvoiceRepository(work), press, pages
        ),
    )
    money = services.add(MoneyLeft, MoneyLeft(work, SentBackRepository(work)))
    services.add(IssuedNotes, IssuedNotes(work, notes, press, pages))
    services.add(
        NotePromises, NotePromises(work, notes, collections, money, services[AuditLog], clock)
    )
    services.add(InvoiceNumbers, InvoiceNumbers(work, NumberRepository(work)))
    services.add(
        BillingDetailsService,
        BillingDetailsService(work, DetailsRepository(work), services[AuditLog], clock),
    )
    _own(services, work, clock, seller)
    services.add(
        InvoiceMirror,
        InvoiceMirror(
            work,
            invoices,
            organizations,
            seller,
            clock,
            services[InvoiceCollecting],
            services[TopUpDesk],
            _discounts(services),
        ),
    )


def _discounts(services: Services) -> DiscountBook:
    if DiscountBook in services:
        return services[DiscountBook]  # type: ignore[type-abstract]
    return NoDiscounts()


def _own(services: Services, work: UnitOfWork, clock: Clock, seller: Party) -> None:
    """What this service issues itself."""
    settings, audit = services[Settings], services[AuditLog]
    catalogs, numbers = services[CatalogService], services[InvoiceNumbers]
    credits: CreditLedger = (
        services[CreditLedger] if CreditLedger in services else NoCredits()  # type: ignore[type-abstract]
    )
    discounts = _discounts(services)
    invoices, own = InvoiceRepository(work), OwnInvoiceRepository(work)
    services.add(SpendReader, PaidSpend(work, own))  # type: ignore[type-abstract]
    dates = Dates(
        grace=timedelta(hours=settings.invoice_grace_hours),
        due=timedelta(days=settings.invoice_due_days),
    )
    rating = WindowRating(
        work, own, services[UsageClosing], catalogs, services[SubscriptionCoverage]
    )
    composer = Composer(
        work,
        own,
        services[BillingDetailsService],
        services[OrganizationService],
        discounts,
        Seller(settings.seller_country, settings.tax_name, settings.tax_rate),
    )
    proofs = services.add(
        InvoiceProofs,
        InvoiceProofs(work, ProofRepository(work), numbers, services[PriceService]),
    )
    issuing = services.add(
        InvoiceIssuing,
        InvoiceIssuing(
            work,
            invoices,
            own,
            DocumentRepository(work),
            rating,
            composer,
            proofs,
            credits,
            discounts,
            audit,
            clock,
            seller,
            dates,
        ),
    )
    held, coverage = services[HeldPlans], services[SubscriptionCoverage]
    terms = WindowTerms(work, held, coverage, catalogs)
    desk = services.add(
        InvoiceDesk,
        InvoiceDesk(
            work, services[InvoiceService], own, terms, issuing, credits, discounts, audit, clock
        ),
    )
    services.add(
        InvoiceCollecting,
        InvoiceCollecting(
            work,
            own,
            CollectionRepository(work),
            desk,
            credits,
            services[OrganizationService],
            services[SubscriptionService],
            services[CollectionGateway],  # type: ignore[type-abstract]
            clock,
        ),
    )
    services.add(
        WaysToPay,
        WaysToPay(
            work,
            CollectionRepository(work),
            services[OrganizationService],
            services[SubscriptionService],
        ),
    )
    services.add(InvoiceRun, InvoiceRun(work, own, held, coverage, terms, issuing, clock, dates))
    services.add(
        InvoicePreview,
        InvoicePreview(work, own, terms, rating, composer, credits, services[ChangeService], clock),
    )
    services.add(
        CreditNotes,
        CreditNotes(
            work,
            own,
            NoteRepository(work),
            issuing,
            numbers,
            credits,
            services[MoneyLeft],
            audit,
            clock,
        ),
    )


def seller_of(settings: Settings) -> Party:
    """Who sells, as documents say it; `|` or a line break separates the lines of the address."""
    address = settings.seller_address.replace("|", "\n").splitlines()
    return Party(
        name=settings.seller_name,
        address=tuple(part.strip() for part in address if part.strip()),
        email=settings.seller_email or settings.smtp_from,
        tax_id=settings.seller_tax_id,
        country=settings.seller_country,
    )
