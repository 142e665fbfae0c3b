"""Accounts and token pairs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from app.auth.router.callers import CurrentDevice
from app.auth.schemas import (
    LoginIn,
    ProfileOut,
    ProfilePatch,
    RefreshIn,
    RegisterIn,
    SwitchIn,
    TokenPairOut,
)
from app.auth.service import ProfileService, SignInService
from app.infra.http.idempotency import IdempotentRoute
from app.infra.http.principal import CurrentPerson, CurrentPrincipal
from app.infra.http.provide import provide
from app.infra.http.rate_limit import limited_by_address

router = APIRouter(prefix="/auth", tags=["auth"], route_class=IdempotentRoute)

SignIn = Annotated[SignInService, provide(SignInService)]
Profiles = Annotated[ProfileService, provide(ProfileService)]


@router.post(
    "/register", status_code=201, dependencies=[limited_by_address("100/minute", "register")]
)
async def register(body: RegisterIn, device: CurrentDevice, sign_in: SignIn) -> TokenPairOut:
    """Open an account with an organization of its own, and sign in."""
    signed_in = await sign_in.register(
        body.email, body.password.get_secret_value(), body.name, body.organization_name, device
    )
    return TokenPairOut.of(signed_in)


@router.post("/login", dependencies=[limited_by_address("100/minute", "login")])
async def login(body: LoginIn, device: CurrentDevice, sign_in: SignIn) -> TokenPairOut:
    """Sign in; to the organization you joined first unless you name one."""
    signed_in = await sign_in.login(
        body.email, body.password.get_secret_value(), body.organization_id, device
    )
    return TokenPairOut.of(signed_in)


@router.post("/refresh", dependencies=[limited_by_address("300/minute", "refresh")])
async def refresh_tokens(body: RefreshIn, sign_in: SignIn) -> TokenPairOut:
    """The next token pair. A refresh token works once; its second use ends the session."""
    return TokenPairOut.of(await sign_in.refresh(body.refresh_token.get_secret_value()))


@router.post("/switch")
async def switch_organization(
    body: SwitchIn, principal: CurrentPerson, device: CurrentDevice, sign_in: SignIn
) -> TokenPairOut:
    """A token pair for another of your organizations; the present one keeps working."""
    return TokenPairOut.of(await sign_in.switch(principal, body.organization_id, device))


@router.get("/me")
async def get_me(principal: CurrentPrincipal, profiles: Profiles) -> ProfileOut:
    """Who you are, and what this token, key or session is for."""
    return ProfileOut.of(await profiles.profile(principal.user_id), principal)


@router.patch("/me")
async def update_me(body: ProfilePatch, principal: CurrentPerson, profiles: Profiles) -> ProfileOut:
    """Change your name."""
    return ProfileOut.of(await profiles.rename(principal.user_id, body.name), principal)
