"""How credits are built."""

from app.audit.service import AuditLog
from app.credits.domain import CreditUse
from app.credits.repository import CreditRepository
from app.credits.service.documents import CreditOfInvoices
from app.credits.service.lapsing import Lapsing
from app.credits.service.ledger import CreditLedger
from app.credits.service.using import Using
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
