"""People and roles."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from app.infra.http.idempotency import IdempotentRoute
from app.infra.http.principal import CurrentPrincipal
from app.infra.http.provide import provide
from app.infra.http.schemas import MessageOut, PageOut, Paging, prefixed_id
from app.kernel.pages import Page
from app.kernel.principal import Permission
from app.organizations.domain import Role
from app.organizations.router.callers import Caller, within
from app.organizations.schemas import MemberOut, MemberPatch, RoleOut, TransferIn
from app.organizations.service import MemberService

router = APIRouter(prefix="/organizations", tags=["organizations"], route_class=IdempotentRoute)

Members = Annotated[MemberService, provide(MemberService)]


@router.get("/roles")
async def list_roles(principal: CurrentPrincipal) -> PageOut[RoleOut]:
    """Every role with its permissions; they are the same in all organizations."""
    return PageOut.of(Page(list(Role)), RoleOut.of)


@router.get("/{organization_id}/members")
async def list_members(
    caller: Annotated[Caller, within(Permission.MEMBERS_READ)], members: Members, paging: Paging
) -> PageOut[MemberOut]:
    """The people of an organization."""
    page = await members.list_for_organization(caller.organization_id, paging)
    return PageOut.of(page, MemberOut.of)


@router.patch("/{organization_id}/members/{user_id}")
async def change_member_role(
    user_id: prefixed_id("usr"),  # type: ignore[valid-type]
    body: MemberPatch,
    caller: Annotated[Caller, within(Permission.MEMBERS_WRITE)],
    members: Members,
) -> MemberOut:
    """Give a member another role. Only an owner makes or unmakes owners."""
    return MemberOut.of(
        await members.change_role(caller.organization_id, user_id, body.role, caller.permissions)
    )


@router.delete("/{organization_id}/members/{user_id}", status_code=204)
async def remove_member(
    user_id: prefixed_id("usr"),  # type: ignore[valid-type]
    caller: Annotated[Caller, within()],
    members: Members,
) -> None:
    """Take a member out, or leave yourself; the last owner stays."""
    if not caller.is_person(user_id):
        caller.require(Permission.MEMBERS_WRITE)
    await members.remove(caller.organization_id, user_id, caller.permissions)


@router.post("/{organization_id}/transfer")
async def transfer_organization(
    body: TransferIn,
    caller: Annotated[Caller, within(Permission.ORGANIZATION_TRANSFER)],
    members: Members,
) -> MessageOut:
    """Make another member the owner in your place; you become an admin."""
    await members.transfer(caller.organization_id, caller.principal.user_id, body.user_id)
    return MessageOut(success=True, message="Organization transferred successfully")
