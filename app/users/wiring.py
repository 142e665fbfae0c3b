"""How people are built."""

from app.audit.service import AuditLog
from app.infra.db.signals import Signals
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.infra.lifecycle import Lifecycle
from app.infra.security.passwords import Passwords
from app.kernel.clock import Clock
from app.users.repository import UserRepository
from app.users.service import UserService


def register(services: Services) -> None:
    work = services[UnitOfWork]
    if Passwords not in services:
        services.add(Passwords, Passwords())
    passwords = services[Passwords]
    services[Lifecycle].add(_nothing, passwords.close)
    services.add(
        UserService,
        UserService(
            work,
            UserRepository(work),
            passwords,
            services[AuditLog],
            services[Signals],
            services[Clock],  # type: ignore[type-abstract]
        ),
    )


async def _nothing() -> None:
    return None
