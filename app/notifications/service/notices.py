"""What people are told, one method a notice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

from app.kernel.ids import UserId
from app.notifications.domain import Cause, Letter, NoticeKind
from app.notifications.service.delivery import Delivery
from app.users.domain import Person
from app.users.service import UserService

IssueToken = Callable[[UserId], Awaitable[str]]
"""Makes a one-time token for someone, in place of any earlier one, and keeps only its hash."""


class PersonalNotices:
    """Mails about someone's account. Whoever has gone meanwhile hears nothing."""

    def __init__(
        self,
        delivery: Delivery,
        users: UserService,
        *,
        issue_verification: IssueToken,
        issue_reset: IssueToken,
    ) -> None:
        self._delivery = delivery
        self._users = users
        self._issue_verification = issue_verification
        self._issue_reset = issue_reset

    async def ask_to_verify_email(self, user_id: UserId, fact_id: UUID) -> None:
        async def compose() -> Letter | None:
            person = await self._users.find(user_id)
            if person is None or person.email_verified_at is not None:
                return None
            return _letter(person, token=await self._issue_verification(user_id))

        await self._delivery.send_once(Cause(NoticeKind.EMAIL_VERIFICATION, fact_id), compose)

    async def send_password_reset(self, user_id: UserId, fact_id: UUID) -> None:
        async def compose() -> Letter | None:
            person = await self._users.find(user_id)
            if person is None:
                return None
            return _letter(person, token=await self._issue_reset(user_id))

        await self._delivery.send_once(Cause(NoticeKind.PASSWORD_RESET, fact_id), compose)

    async def tell_password_changed(self, user_id: UserId, fact_id: UUID) -> None:
        async def compose() -> Letter | None:
            person = await self._users.find(user_id)
            return _letter(person) if person is not None else None

        await self._delivery.send_once(Cause(NoticeKind.PASSWORD_CHANGED, fact_id), compose)


def _letter(person: Person, **context: object) -> Letter:
    return Letter(person.email, {"name": person.name, **context})
