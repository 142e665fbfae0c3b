"""`/organizations`: organizations, their people, invitations."""

from fastapi import APIRouter

from app.organizations.router import invites, members, organizations

# `roles` and `invites/accept` are fixed paths and stand before `{organization_id}`.
router = APIRouter()
for part in (members.router, invites.router, organizations.router):
    router.include_router(part)

__all__ = ["router"]
