"""Invitations."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from app.infra.http.idempotency import IdempotentRoute
from app.infra.http.principal import CurrentPerson
from app.infra.http.provide import provide
from app.infra.http.rate_limit import limited_by_address
from app.infra.http.schemas import PageOut, Paging, prefixed_id
from app.kernel.principal import Permission
from app.organizations.router.callers import Caller, within
from app.organizations.schemas import AcceptedOut, AcceptIn, InviteIn, InviteOut
from app.organizations.service import InviteService

router = APIRouter(prefix="/organizations", tags=["organizations"], route_class=IdempotentRoute)

Invites = Annotated[InviteService, provide(InviteService)]


@router.post("/invites/accept", dependencies=[limited_by_address("60/minute", "accept")])
async def accept_invite(body: AcceptIn, principal: CurrentPerson, invites: Invites) -> AcceptedOut:
    """Come in through the link in the mail, as the person it was sent to."""
    belonging = await invites.accept(body.token.get_secret_value(), principal.user_id)
    return AcceptedOut.of(belonging)


@router.post("/{organization_id}/invites", status_code=201)
async def create_invite(
    body: InviteIn,
    caller: Annotated[Caller, within(Permission.MEMBERS_WRITE)],
    invites: Invites,
) -> InviteOut:
    """Ask someone in by mail. An open invitation takes a seat."""
    invite = await invites.invite(
        caller.organization_id, body.email, body.role, caller.principal.user_id
    )
    return InviteOut.of(invite)


@router.get("/{organization_id}/invites")
async def list_invites(
    caller: Annotated[Caller, within(Permission.MEMBERS_READ)], invites: Invites, paging: Paging
) -> PageOut[InviteOut]:
    """The invitations that wait for an answer."""
    return PageOut.of(await invites.list_open(caller.organization_id, paging), InviteOut.of)


@router.delete("/{organization_id}/invites/{invite_id}", status_code=204)
async def withdraw_invite(
    invite_id: prefixed_id("ivt"),  # type: ignore[valid-type]
    caller: Annotated[Caller, within(Permission.MEMBERS_WRITE)],
    invites: Invites,
) -> None:
    """Take an invitation back; its link is dead."""
    await invites.withdraw(caller.organization_id, invite_id)
