"""How credits are built."""

from app.audit.service import AuditLog
from app.credits.domain import CreditUse, Payers
from app.credits.repository import CreditRepository
from app.credits.repository_top_ups import TopUpRepository
from app.credits.service.auto_top_up import AutoTopUps
from app.credits.service.documents import CreditOfInvoices
from app.credits.service.lapsing import Lapsing
from app.credits.service.ledger import CreditLedger
from app.credits.service.taking_back import TakingBack
from app.credits.service.top_ups import TopUpDesk
from app.credits.service.topping_up import ToppingUp
from app.credits.service.using import Using
from app.gateways.stripe.gateway import StripeGateway
from app.gateways.stripe.history import HistoryGateway
from app.gateways.stripe.top_ups import TopUpGateway
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.kernel.clock import Clock
from app.organizations.service import OrganizationService


def register(services: Services) -> None:
    work, audit = services[UnitOfWork], services[AuditLog]
    clock = services[Clock]  # type: ignore[type-abstract]
    repository = CreditRepository(work)
    use = services[CreditUse]  # type: ignore[type-abstract]
    ledger = services.add(CreditLedger, CreditLedger(work, repository, use, audit, clock))
    services.add(CreditOfInvoices, CreditOfInvoices(work, ledger))
    services.add(Using, Using(work, ledger, use, services[OrganizationService], clock))
    services.add(Lapsing, Lapsing(work, repository, ledger, clock))


def register_topping_up(services: Services) -> None:
    """Buying credit, once it is known who pays at Stripe."""
    work, audit, ledger = services[UnitOfWork], services[AuditLog], services[CreditLedger]
    clock: Clock = services[Clock]  # type: ignore[type-abstract]
    payers: Payers = services[Payers]  # type: ignore[type-abstract]
    top_ups, organizations = TopUpRepository(work), services[OrganizationService]
    automatic = services.add(
        AutoTopUps,
        AutoTopUps(work, top_ups, CreditRepository(work), payers, audit, clock),
    )
    services.add(TakingBack, TakingBack(work, top_ups, automatic, ledger))
    desk = services.add(
        TopUpDesk,
        TopUpDesk(
            work,
            top_ups,
            automatic,
            ledger,
            services[StripeGateway],  # type: ignore[type-abstract]
            services[HistoryGateway],  # type: ignore[type-abstract]
            services[TopUpGateway],  # type: ignore[type-abstract]
            organizations,
            clock,
        ),
    )
    services.add(
        ToppingUp,
        ToppingUp(work, top_ups, automatic, desk, ledger, payers, audit, organizations, clock),
    )
