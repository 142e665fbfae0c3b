"""The composition root: settings in, a process's services out.

Each feature registers itself; this file only says in which order, lowest first.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from app import subscribers
from app.audit import wiring as audit
from app.catalog import wiring as catalog
from app.gateways.mail import wiring as mail
from app.gateways.stripe import wiring as stripe
from app.infra.db.engine import Sessions, create_engine, create_sessions
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.idempotency import IdempotencyKeys, mark_effective
from app.infra.http.provide import Services
from app.infra.http.rate_limit import PostgresStorage, RateLimiter
from app.infra.jobs.queue import JobQueue
from app.infra.lifecycle import Lifecycle
from app.infra.security.secret import SigningSecret, signing_secret
from app.infra.settings import Settings
from app.kernel.clock import Clock, SystemClock
from app.webhooks import wiring as webhooks

Register = Callable[[Services], None]

FEATURES: tuple[Register, ...] = (
    mail.register,
    stripe.register,
    audit.register,
    catalog.register,
    webhooks.register,
)


class NoDatabase(RuntimeError):
    """DATABASE_URL is not set; `make run` starts an embedded Postgres and sets it."""


def build_services(
    settings: Settings,
    *,
    clock: Clock | None = None,
    replace: Register | None = None,
) -> Services:
    """Everything one process needs. *replace* may register fakes before the features do."""
    if settings.database_url is None:
        raise NoDatabase(NoDatabase.__doc__)
    services = Services()
    services.add(Settings, settings)
    clock = services.add(Clock, clock or SystemClock())  # type: ignore[type-abstract]
    lifecycle = services.add(Lifecycle, Lifecycle(settings.env))
    engine = services.add(
        AsyncEngine,
        create_engine(
            settings.database_url.get_secret_value(), pool_size=settings.database_pool_size
        ),
    )
    services.add(URL, engine.url)
    sessions: Sessions = create_sessions(engine)
    services.add(Sessions, sessions)
    secret = signing_secret(settings)
    services.add(SigningSecret, secret)
    services.add(
        UnitOfWork,
        UnitOfWork(
            sessions,
            JobQueue(clock),
            followers=subscribers.followers,
            before_commit=(mark_effective,),
        ),
    )
    services.add(IdempotencyKeys, IdempotencyKeys(sessions, clock, secret))
    services.add(
        RateLimiter,
        RateLimiter(PostgresStorage(sessions, clock), clock, enabled=settings.rate_limits == "on"),
    )
    lifecycle.add(_nothing, engine.dispose)
    if replace is not None:
        replace(services)
    for register in FEATURES:
        register(services)
    return services


async def _nothing() -> None:
    return None
