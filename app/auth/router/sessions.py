"""Devices, and the end of tokens."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body

from app.auth.schemas import RevocationReasonIn, RevokeIn, SessionOut
from app.auth.service import RevocationService, SessionService
from app.infra.http.idempotency import IdempotentRoute
from app.infra.http.principal import CurrentPerson, CurrentPrincipal
from app.infra.http.provide import provide
from app.infra.http.schemas import MessageOut, PageOut, Paging, prefixed_id

router = APIRouter(prefix="/auth", tags=["auth"], route_class=IdempotentRoute)

Sessions = Annotated[SessionService, provide(SessionService)]
Revocations = Annotated[RevocationService, provide(RevocationService)]


@router.post("/logout")
async def logout(principal: CurrentPerson, sessions: Sessions) -> MessageOut:
    """End this session: its access tokens and its refresh family are dead."""
    if principal.session_id is not None:
        await sessions.end(principal.session_id, principal.user_id, "user_logout")
    return MessageOut(success=True, message="Logged out successfully")


@router.post("/revoke")
async def revoke_token(
    body: RevokeIn, principal: CurrentPrincipal, revocations: Revocations
) -> MessageOut:
    """End an access token, a refresh token with its session, or an API key; your own only."""
    await revocations.revoke(principal, body.token.get_secret_value(), body.reason)
    return MessageOut(success=True, message="Token revoked successfully")


@router.post("/revoke-all")
async def revoke_all_sessions(
    principal: CurrentPerson,
    sessions: Sessions,
    body: Annotated[RevocationReasonIn | None, Body()] = None,
) -> MessageOut:
    """End every session of yours, this one included. API keys keep working."""
    reason = body.reason if body is not None and body.reason is not None else "revoked_by_user"
    await sessions.end_all(principal.user_id, reason)
    return MessageOut(success=True, message="All sessions revoked successfully")


@router.get("/sessions")
async def list_sessions(
    principal: CurrentPerson, sessions: Sessions, paging: Paging
) -> PageOut[SessionOut]:
    """The devices on which you are signed in, the latest first."""
    page = await sessions.list_for_user(principal.user_id, paging)
    return PageOut.of(page, lambda session: SessionOut.of(session, principal))


@router.delete("/sessions/{session_id}", status_code=204)
async def end_session(
    session_id: prefixed_id("ses"),  # type: ignore[valid-type]
    principal: CurrentPerson,
    sessions: Sessions,
) -> None:
    """Sign a device out."""
    await sessions.end(session_id, principal.user_id, "ended_by_user")
