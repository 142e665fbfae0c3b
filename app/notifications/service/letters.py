"""What a notice says when it is due: to whom, and whether it still holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from app.kernel.ids import UserId
from app.notifications.domain import Audience, Letter, NoticeKind, Told, subject_of
from app.notifications.kinds import KEEPS, RULES
from app.organizations.service import OrganizationService
from app.users.domain import Person
from app.users.service import UserService

Compose = Callable[[Told], Awaitable[Mapping[str, object] | None]]
"""What the template needs, found out outside any unit; None when it is no longer so."""

TO = "to"
"""Where a guest's context says which address is meant."""


class Letters:
    """Asks whoever knows, at the moment of sending."""

    def __init__(
        self,
        composers: Mapping[NoticeKind, Compose],
        users: UserService,
        organizations: OrganizationService,
    ) -> None:
        self._composers = composers
        self._users = users
        self._organizations = organizations

    async def compose(self, told: Told) -> Letter | None:
        """The letter, or None when nobody needs it any more: what it says has changed, or whom it
        was for has gone."""
        recipient: Person | None = None
        if told.person_id is not None:
            recipient = await self._recipient(told, UserId(told.person_id))
            if recipient is None:
                return None
        context = await self._composers[told.kind](told)
        if context is None:
            return None
        organization_id = subject_of(told.facts)
        if organization_id is not None:
            organization = await self._organizations.get(organization_id)
            context = {"organization": organization.name, **context}
        to = recipient.email if recipient is not None else str(context.get(TO, ""))
        return Letter(to, recipient.name if recipient is not None else None, context)

    async def _recipient(self, told: Told, person_id: UserId) -> Person | None:
        person = await self._users.find(person_id)
        if person is None or person.is_suspended:
            return None
        audience = RULES[told.kind].audience
        if told.organization_id is not None:
            access = await self._organizations.find_access(told.organization_id, person_id)
            return person if access is not None and KEEPS in access.permissions else None
        if Audience.OPERATORS in audience and not person.is_operator:
            return None
        return person
