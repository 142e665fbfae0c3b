"""How credits are built."""

from app.audit.service import AuditLog
from app.credits.repository import CreditRepository
from app.credits.service.documents import CreditOfInvoices
from app.credits.service.lapsing import Lapsing
from app.credits.service.ledger import CreditLedger
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.kernel.clock import Clock


def register(services: Services) -> None:
    work, audit = services[UnitOfWork], services[AuditLog]
    clock = services[Clock]  # type: ignore[type-abstract]
    repository = CreditRepository(work)
    ledger = services.add(CreditLedger, CreditLedger(work, repository, audit, clock))
    services.add(CreditOfInvoices, CreditOfInvoices(work, ledger))
    services.add(Lapsing, Lapsing(work, repository, ledger, clock))
