"""How the audit log is built."""

from app.audit.repository import AuditRepository
from app.audit.service import AuditLog
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.kernel.clock import Clock


def register(services: Services) -> None:
    work = services[UnitOfWork]
    services.add(
        AuditLog,
        AuditLog(work, AuditRepository(work), services[Clock]),  # type: ignore[type-abstract]
    )
