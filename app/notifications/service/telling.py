"""From an announced fact to a notice for each who should hear of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, UserId
from app.kernel.pages import MAX_LIMIT, PageRequest
from app.notifications.domain import Audience, Facts, NoticeKind, subject_of
from app.notifications.kinds import KEEPS, RULES, cause_of
from app.notifications.repository.notices import NoticeRepository
from app.notifications.service.delivery import DELIVER
from app.organizations.domain import PERMISSIONS, Member
from app.organizations.service import MemberService
from app.users.service import UserService


class Telling:
    """Writes down who is to be told what, and asks for it to be sent. Sends nothing itself."""

    def __init__(
        self,
        work: UnitOfWork,
        notices: NoticeRepository,
        members: MemberService,
        users: UserService,
        clock: Clock,
    ) -> None:
        self._work = work
        self._notices = notices
        self._members = members
        self._users = users
        self._clock = clock

    async def tell(self, kind: NoticeKind, facts: Facts) -> None:
        """A notice for each who should hear of it; who has one for this cause gets no second."""
        audience = RULES[kind].audience
        organization_id = subject_of(facts)
        keepers = (
            [member async for member in self._keepers(organization_id)]
            if Audience.KEEPERS in audience and organization_id is not None
            else []
        )
        now = self._clock.now()
        if organization_id is not None and audience & {Audience.KEEPERS, Audience.GUEST}:
            async with self._work.begin(organization_id):
                for member in keepers:
                    await self._add(organization_id, kind, facts, now, member.user_id)
                if Audience.GUEST in audience:
                    await self._add(organization_id, kind, facts, now, None)
        if audience & {Audience.OPERATORS, Audience.PERSON}:
            operators = await self._users.list_operators() if Audience.OPERATORS in audience else []
            async with self._work.begin_platform():
                for operator in operators:
                    await self._add(None, kind, facts, now, operator.id)
                if Audience.PERSON in audience:
                    await self._add(None, kind, facts, now, UserId(UUID(facts["user_id"])))

    async def _add(
        self,
        organization_id: OrganizationId | None,
        kind: NoticeKind,
        facts: Facts,
        at: datetime,
        person_id: UserId | None,
    ) -> None:
        cause = cause_of(kind, facts)
        if person_id is not None:
            cause = f"{cause}:{person_id}"
        notice_id = await self._notices.add_once(
            organization_id, cause, kind, facts, at, person_id=person_id
        )
        if notice_id is not None:
            self._work.enqueue(
                DELIVER,
                {"organization_id": organization_id, "notice_id": notice_id},
                dedupe_key=f"{notice_id}:1",
            )

    async def _keepers(self, organization_id: OrganizationId) -> AsyncIterator[Member]:
        request = PageRequest(MAX_LIMIT)
        while True:
            page = await self._members.list_for_organization(organization_id, request)
            for member in page.items:
                if KEEPS in PERMISSIONS[member.role]:
                    yield member
            if page.next_cursor is None:
                return
            request = PageRequest(MAX_LIMIT, page.next_cursor)
