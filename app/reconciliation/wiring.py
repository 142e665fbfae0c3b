"""How reconciliation is built. The inbox stands above it and is registered before."""

from app.gateways.stripe.credit_notes import CreditNotesGateway
from app.gateways.stripe.gateway import StripeGateway
from app.gateways.stripe.history import HistoryGateway
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.invoices.service.mirror import InvoiceMirror
from app.kernel.clock import Clock
from app.reconciliation.domain import EventInbox
from app.reconciliation.repository import HeldRepository, ReconciliationRepository
from app.reconciliation.service import ReconciliationService
from app.subscriptions.service import SubscriptionMirror


def register(services: Services) -> None:
    work = services[UnitOfWork]
    services.add(
        ReconciliationService,
        ReconciliationService(
            work,
            ReconciliationRepository(work),
            HeldRepository(work),
            services[StripeGateway],  # type: ignore[type-abstract]
            services[HistoryGateway],  # type: ignore[type-abstract]
            services[CreditNotesGateway],  # type: ignore[type-abstract]
            services[EventInbox],  # type: ignore[type-abstract]
            services[SubscriptionMirror],
            services[InvoiceMirror],
            services[Clock],  # type: ignore[type-abstract]
        ),
    )
