"""Someone's account, and invitations."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from app.auth.service.one_time_tokens import OneTimeTokenService
from app.kernel.ids import OrganizationId, UserId
from app.notifications.domain import NoticeKind, Told
from app.notifications.service.letters import TO, Compose
from app.organizations.errors import InviteNotFound
from app.organizations.service import InviteService
from app.users.service import UserService


class PeopleLetters:
    """Each try makes a fresh token, so that of two mails only the later one's works."""

    def __init__(
        self, users: UserService, tokens: OneTimeTokenService, invites: InviteService
    ) -> None:
        self._users = users
        self._tokens = tokens
        self._invites = invites

    @property
    def composers(self) -> Mapping[NoticeKind, Compose]:
        return {
            NoticeKind.EMAIL_VERIFICATION: self.email_verification,
            NoticeKind.PASSWORD_RESET: self.password_reset,
            NoticeKind.PASSWORD_CHANGED: self.password_changed,
            NoticeKind.INVITE: self.invite,
        }

    async def email_verification(self, told: Told) -> Mapping[str, object] | None:
        user_id = UserId(UUID(told.facts["user_id"]))
        person = await self._users.find(user_id)
        if person is None or person.email_verified_at is not None:
            return None
        return {"token": await self._tokens.issue_email_verification_token(user_id)}

    async def password_reset(self, told: Told) -> Mapping[str, object] | None:
        user_id = UserId(UUID(told.facts["user_id"]))
        return {"token": await self._tokens.issue_password_reset_token(user_id)}

    async def password_changed(self, told: Told) -> Mapping[str, object] | None:
        return {}

    async def invite(self, told: Told) -> Mapping[str, object] | None:
        organization_id = OrganizationId(UUID(told.facts["organization_id"]))
        invite_id = UUID(told.facts["invite_id"])
        try:
            invite = await self._invites.get(organization_id, invite_id)
            token = await self._invites.issue_invite_token(organization_id, invite_id)
        except InviteNotFound:
            return None
        inviter = await self._users.find(invite.invited_by)
        return {
            TO: invite.email,
            "inviter": inviter.name if inviter is not None else "Someone",
            "role": invite.role.value,
            "token": token,
        }
