"""Browser sessions: a cookie that scripts cannot read, and a token that only our pages know."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response

from app.auth.errors import SessionNotFound
from app.auth.router.callers import CurrentDevice
from app.auth.schemas import BrowserSessionOut, CsrfOut, LoginIn
from app.auth.service import Secrets, SessionService, SignInService
from app.infra.http.principal import SESSION_COOKIE, CurrentPerson
from app.infra.http.provide import Services, provide
from app.infra.http.rate_limit import limited_by_address
from app.infra.settings import Settings

# No Idempotency-Key here: a stored answer would come back without its cookie.
router = APIRouter(prefix="/auth/session", tags=["auth"])

SignIn = Annotated[SignInService, provide(SignInService)]
Sessions = Annotated[SessionService, provide(SessionService)]
SessionSecrets = Annotated[Secrets, provide(Secrets)]


@router.post("", dependencies=[limited_by_address("100/minute", "login")])
async def open_browser_session(
    body: LoginIn, request: Request, response: Response, device: CurrentDevice, sign_in: SignIn
) -> BrowserSessionOut:
    """Sign in with a cookie. Send the `csrf_token` as `X-CSRF-Token` with unsafe methods."""
    signed_in = await sign_in.login_in_browser(
        body.email, body.password.get_secret_value(), body.organization_id, device
    )
    response.set_cookie(
        SESSION_COOKIE,
        signed_in.session.cookie,
        expires=signed_in.session.expires_at,
        path="/",
        httponly=True,
        samesite="lax",
        secure=_is_secure(request),
    )
    return BrowserSessionOut.of(signed_in)


@router.get("")
async def get_browser_session(
    request: Request, principal: CurrentPerson, secrets: SessionSecrets
) -> CsrfOut:
    """The CSRF token of this browser session, for a page that was loaded afresh."""
    if principal.token_type != "session":  # noqa: S105
        raise SessionNotFound
    return CsrfOut.of(secrets.csrf_token(request.cookies.get(SESSION_COOKIE, "")), principal)


@router.delete("", status_code=204)
async def close_browser_session(
    request: Request, response: Response, principal: CurrentPerson, sessions: Sessions
) -> None:
    """Sign the browser out and take its cookie back."""
    if principal.session_id is not None:
        await sessions.end(principal.session_id, principal.user_id, "user_logout")
    response.delete_cookie(
        SESSION_COOKIE, path="/", httponly=True, samesite="lax", secure=_is_secure(request)
    )


def _is_secure(request: Request) -> bool:
    services: Services = request.app.state.services
    return services[Settings].env != "development"
