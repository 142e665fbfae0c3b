"""What people are told, one method a notice."""

from __future__ import annotations

from uuid import UUID

from app.auth.service.one_time_tokens import OneTimeTokenService
from app.kernel.ids import OrganizationId, UserId
from app.notifications.domain import Cause, Letter, NoticeKind
from app.notifications.service.delivery import Delivery
from app.organizations.errors import InviteNotFound
from app.organizations.service import InviteService, OrganizationService
from app.users.domain import Person
from app.users.service import UserService


class PersonalNotices:
    """Mails about someone's account. Whoever has gone meanwhile hears nothing."""

    def __init__(
        self,
        delivery: Delivery,
        users: UserService,
        tokens: OneTimeTokenService,
    ) -> None:
        self._delivery = delivery
        self._users = users
        self._tokens = tokens

    async def ask_to_verify_email(self, user_id: UserId, fact_id: UUID) -> None:
        async def compose() -> Letter | None:
            person = await self._users.find(user_id)
            if person is None or person.email_verified_at is not None:
                return None
            token = await self._tokens.issue_email_verification_token(user_id)
            return _letter(person, token=token)

        await self._delivery.send_once(Cause(NoticeKind.EMAIL_VERIFICATION, fact_id), compose)

    async def send_password_reset(self, user_id: UserId, fact_id: UUID) -> None:
        async def compose() -> Letter | None:
            person = await self._users.find(user_id)
            if person is None:
                return None
            token = await self._tokens.issue_password_reset_token(user_id)
            return _letter(person, token=token)

        await self._delivery.send_once(Cause(NoticeKind.PASSWORD_RESET, fact_id), compose)

    async def tell_password_changed(self, user_id: UserId, fact_id: UUID) -> None:
        async def compose() -> Letter | None:
            person = await self._users.find(user_id)
            return _letter(person) if person is not None else None

        await self._delivery.send_once(Cause(NoticeKind.PASSWORD_CHANGED, fact_id), compose)


class OrganizationNotices:
    """Mails about an organization."""

    def __init__(
        self,
        delivery: Delivery,
        users: UserService,
        organizations: OrganizationService,
        invites: InviteService,
    ) -> None:
        self._delivery = delivery
        self._users = users
        self._organizations = organizations
        self._invites = invites

    async def send_invite(
        self, organization_id: OrganizationId, invite_id: UUID, fact_id: UUID
    ) -> None:
        async def compose() -> Letter | None:
            try:
                invite = await self._invites.get(organization_id, invite_id)
                token = await self._invites.issue_invite_token(organization_id, invite_id)
            except InviteNotFound:
                return None
            organization = await self._organizations.get(organization_id)
            inviter = await self._users.find(invite.invited_by)
            return Letter(
                invite.email,
                {
                    "organization": organization.name,
                    "inviter": inviter.name if inviter else organization.name,
                    "role": invite.role.value,
                    "token": token,
                },
            )

        cause = Cause(NoticeKind.INVITE, fact_id, organization_id)
        await self._delivery.send_once(cause, compose)


def _letter(person: Person, **context: object) -> Letter:
    return Letter(person.email, {"name": person.name, **context})
