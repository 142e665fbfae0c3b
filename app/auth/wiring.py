"""How sign-in is built."""

from datetime import timedelta

from app.audit.service import AuditLog
from app.auth.repository import (
    ApiKeyRepository,
    OneTimeTokenRepository,
    RevocationRepository,
    SessionRepository,
)
from app.auth.service import (
    AccessTokens,
    ApiKeyService,
    OneTimeTokenService,
    Operators,
    PasswordService,
    PrincipalCache,
    ProfileService,
    Resolver,
    RevocationService,
    Secrets,
    SessionService,
    SignInService,
)
from app.infra.db.signals import Signals
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.principal import PrincipalResolver
from app.infra.http.provide import Services
from app.infra.http.rate_limit import RateLimiter
from app.infra.lifecycle import Lifecycle
from app.infra.security.passwords import Passwords
from app.infra.security.secret import SigningSecret
from app.infra.settings import Settings
from app.kernel.clock import Clock
from app.organizations.domain import PlanAdvice
from app.organizations.service import OrganizationService
from app.users.service import UserService


def register(services: Services) -> None:
    work = services[UnitOfWork]
    clock = services[Clock]  # type: ignore[type-abstract]
    settings = services[Settings]
    users, organizations = services[UserService], services[OrganizationService]
    secrets = Secrets(services[SigningSecret])
    access_tokens = AccessTokens(
        services[SigningSecret], timedelta(hours=settings.jwt_expiry_hours), clock
    )
    audit, signals = services[AuditLog], services[Signals]
    session_rows, keys = SessionRepository(work), ApiKeyRepository(work)
    revocations = RevocationRepository(work)
    services.add(Secrets, secrets)
    services.add(AccessTokens, access_tokens)
    sessions = services.add(
        SessionService,
        SessionService(
            work,
            session_rows,
            revocations,
            access_tokens,
            secrets,
            timedelta(days=settings.refresh_token_expiry_days),
            audit,
            signals,
            clock,
        ),
    )
    limits = services[RateLimiter]
    sign_in = services.add(
        SignInService, SignInService(work, users, organizations, sessions, limits)
    )
    one_time_rows = OneTimeTokenRepository(work)
    one_time_tokens = services.add(
        OneTimeTokenService, OneTimeTokenService(work, one_time_rows, secrets, clock)
    )
    services.add(
        PasswordService,
        PasswordService(work, users, sign_in, sessions, one_time_tokens, limits),
    )
    _bootstrap(services, settings)
    key_service = services.add(
        ApiKeyService,
        ApiKeyService(
            work,
            keys,
            organizations,
            services[PlanAdvice],  # type: ignore[type-abstract]
            secrets,
            audit,
            signals,
            clock,
        ),
    )
    services.add(
        RevocationService,
        RevocationService(
            work,
            revocations,
            session_rows,
            one_time_rows,
            access_tokens,
            sessions,
            key_service,
            secrets,
            audit,
            signals,
            clock,
        ),
    )
    services.add(ProfileService, ProfileService(work, users, organizations, keys, clock))
    services.add(
        PrincipalResolver,  # type: ignore[type-abstract]
        Resolver(
            work,
            session_rows,
            revocations,
            keys,
            users,
            organizations,
            access_tokens,
            secrets,
            PrincipalCache(signals),
            clock,
        ),
    )


def _bootstrap(services: Services, settings: Settings) -> None:
    operators = services.add(
        Operators,
        Operators(
            services[UserService],
            services[Passwords],
            is_strict=settings.env == "production",
        ),
    )
    email, password = settings.admin_email, settings.admin_password
    if email is None or password is None:
        return

    async def start() -> None:
        await operators.bootstrap(email, password.get_secret_value())

    services[Lifecycle].add(start, _nothing)


async def _nothing() -> None:
    return None
