"""The composition root: settings in, a process's services out.

Each feature registers itself; this file only says in which order, lowest first.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from app import subscribers
from app.admin import wiring as admin
from app.audit import wiring as audit
from app.auth import wiring as auth
from app.budgets import wiring as budgets
from app.catalog import wiring as catalog
from app.catalog.service import CatalogService
from app.credits import wiring as credits
from app.credits.service.documents import CreditOfInvoices
from app.discounts import wiring as discounts
from app.discounts.service.book import DiscountsOfInvoices
from app.doctor import wiring as doctor
from app.gateways.hooks import wiring as hooks
from app.gateways.lago import wiring as lago
from app.gateways.mail import wiring as mail
from app.gateways.redis import wiring as redis
from app.gateways.stripe import wiring as stripe
from app.infra.db.engine import Sessions, create_engine, create_sessions
from app.infra.db.signals import Signals
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.idempotency import IdempotencyKeys, mark_effective
from app.infra.http.provide import Services
from app.infra.http.rate_limit import PostgresStorage, RateLimiter
from app.infra.jobs.queue import JobQueue
from app.infra.lifecycle import Lifecycle
from app.infra.security.secret import SigningSecret, signing_secret
from app.infra.settings import Settings
from app.insights import wiring as insights
from app.invoices import wiring as invoices
from app.invoices.domain import CreditLedger, DiscountBook
from app.kernel.clock import Clock, SystemClock
from app.kernel.entitlements import Entitlements
from app.metered import wiring as metered
from app.notifications import wiring as notifications
from app.organizations import wiring as organizations
from app.organizations.domain import PlanAdvice
from app.payments import wiring as payments
from app.pricing import wiring as pricing
from app.reconciliation import wiring as reconciliation
from app.recovery import wiring as recovery
from app.sinks import wiring as sinks
from app.statements import wiring as statements
from app.subscriptions import wiring as subscriptions
from app.usage import wiring as usage
from app.users import wiring as users
from app.webhooks import wiring as webhooks

Register = Callable[[Services], None]


class CatalogAdvice:
    """Answers what organizations ask about plans from the active catalog."""

    def __init__(self, catalog: CatalogService) -> None:
        self._catalog = catalog

    def for_new_organization(self) -> Entitlements:
        return self._catalog.active.free_entitlements()

    def upgrade_for_feature(self, feature: str, plan: str) -> str | None:
        return self._catalog.active.upgrade_for_feature(feature, plan)

    def upgrade_for_seats(self, seats: int, plan: str) -> str | None:
        return self._catalog.active.upgrade_for_seats(seats, plan)


def _settling(services: Services) -> None:
    # Invoices ask for both by protocols of their own, which stand above credits and discounts.
    services.add(CreditLedger, services[CreditOfInvoices])  # type: ignore[type-abstract]
    services.add(DiscountBook, services[DiscountsOfInvoices])  # type: ignore[type-abstract]


def _plan_advice(services: Services) -> None:
    # Organizations and the catalog are neighbours and may not import each other.
    services.add(PlanAdvice, CatalogAdvice(services[CatalogService]))  # type: ignore[type-abstract]


FEATURES: tuple[Register, ...] = (
    mail.register,
    hooks.register,
    stripe.register,
    lago.register,
    redis.register,
    audit.register,
    catalog.register,
    _plan_advice,
    users.register,
    organizations.register,
    auth.register,
    usage.register_prepaid,
    credits.register,
    discounts.register,
    _settling,
    pricing.register,
    usage.register,
    sinks.register,
    budgets.register,
    subscriptions.register,
    payments.register_book,
    credits.register_topping_up,
    invoices.register,
    insights.register,
    payments.register,
    statements.register,
    recovery.register,
    metered.register,
    webhooks.register,
    reconciliation.register,
    notifications.register,
    admin.register,
    doctor.register,
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
    lifecycle.parts["database"] = "embedded" if settings.database_embedded else "real"
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
    signals = services.add(Signals, Signals(engine.url))
    lifecycle.add(signals.start, signals.stop)
    if replace is not None:
        replace(services)
    for register in FEATURES:
        register(services)
    return services


async def _nothing() -> None:
    return None
