"""Who is calling, asked of whoever `auth` put in charge; routers know nothing else of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from app.infra.http.provide import Services
from app.kernel.errors import NotAuthenticated
from app.kernel.principal import Permission, Principal

SESSION_COOKIE = "session_token"
CSRF_HEADER = "x-csrf-token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request carries to prove who sent it; at most one of the three is used."""

    bearer: str | None
    api_key: str | None
    cookie: str | None
    csrf_token: str | None
    is_safe_method: bool


class PrincipalResolver(Protocol):
    """Turns credentials into a principal. Raises `NotAuthenticated` or `NotAllowed`."""

    async def resolve(self, credentials: Credentials) -> Principal: ...

    def fingerprint(self, bearer: bytes) -> bytes:
        """What a Bearer token or key is remembered by."""
        ...

    def fingerprint_of_key(self, key: bytes) -> bytes | None:
        """As `fingerprint`, for an X-API-Key header; None for what is no key."""
        ...

    def recall(self, fingerprint: bytes) -> Principal | None:
        """Whom `resolve` would answer for what has this fingerprint, if that needs no database."""
        ...


def credentials_of(request: Request) -> Credentials:
    """Read the three places where credentials may be; a Bearer token wins."""
    headers = request.headers
    scheme, _, token = headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else None
    return Credentials(
        bearer=bearer or None,
        api_key=headers.get("x-api-key"),
        cookie=request.cookies.get(SESSION_COOKIE) if "cookie" in headers else None,
        csrf_token=headers.get(CSRF_HEADER),
        is_safe_method=request.method in SAFE_METHODS,
    )


async def current_principal(request: Request) -> Principal:
    """The verified caller; resolved once a request. Raises `NotAuthenticated`."""
    known: Principal | None = request.scope.get("principal")
    if known is not None:
        return known
    credentials = credentials_of(request)
    if not (credentials.bearer or credentials.api_key or credentials.cookie):
        raise NotAuthenticated
    services: Services = request.app.state.services
    resolver: PrincipalResolver = services[PrincipalResolver]  # type: ignore[type-abstract]
    principal = await resolver.resolve(credentials)
    request.scope["principal"] = principal
    return principal


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]


def needs(permission: Permission) -> Any:
    """A dependency: the caller, who holds *permission* in their current organization."""

    async def check(principal: CurrentPrincipal) -> Principal:
        principal.require(permission)
        return principal

    return Depends(check)


async def _person(principal: CurrentPrincipal) -> Principal:
    principal.require_person()
    return principal


CurrentPerson = Annotated[Principal, Depends(_person)]
"""A caller who signed in, with a token or a cookie; not an API key."""


async def _operator(principal: CurrentPrincipal) -> Principal:
    principal.require_operator()
    return principal


CurrentOperator = Annotated[Principal, Depends(_operator)]
