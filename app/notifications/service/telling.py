"""From an announced fact to a notice for each who should hear of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, UserId
from app.kernel.pages import MAX_LIMIT, PageRequest
from app.notifications.domain import Audience, Channel, Facts, NoticeKind, subject_of
from app.notifications.kinds import KEEPS, RULES, cause_of
from app.notifications.repository.notices import NoticeRepository
from app.notifications.service.delivery import DELIVER
from app.notifications.service.preferences import PreferenceService
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
        preferences: PreferenceService,
        clock: Clock,
        *,
        has_chat: bool,
    ) -> None:
        self._work = work
        self._notices = notices
        self._members = members
        self._users = users
        self._preferences = preferences
        self._clock = clock
        self._has_chat = has_chat

    async def tell(self, kind: NoticeKind, facts: Facts) -> None:
        """A notice for each who should hear of it; who has one for this cause gets no second.

        Endpoints were told already, see `outbox.py`.
        """
        organization_id = subject_of(facts)
        if organization_id is not None:
            await self._tell_theirs(organization_id, kind, facts)
        await self._tell_ours(kind, facts)

    async def _tell_theirs(
        self, organization_id: OrganizationId, kind: NoticeKind, facts: Facts
    ) -> None:
        rule, now = RULES[kind], self._clock.now()
        keepers = (
            [member async for member in self._keepers(organization_id)]
            if Audience.KEEPERS in rule.audience
            else []
        )
        async with self._work.begin(organization_id):
            people = [member.user_id for member in keepers]
            muted = await self._preferences.muted_by(organization_id, kind, people)
            for person_id in people:
                if person_id not in muted:
                    await self._add(organization_id, kind, facts, now, person_id)
            if Audience.GUEST in rule.audience:
                await self._add(organization_id, kind, facts, now)

    async def _tell_ours(self, kind: NoticeKind, facts: Facts) -> None:
        rule, now = RULES[kind], self._clock.now()
        people: list[UserId] = []
        if Audience.OPERATORS in rule.audience:
            people += [operator.id for operator in await self._users.list_operators()]
        if Audience.PERSON in rule.audience:
            people.append(UserId(UUID(facts["user_id"])))
        async with self._work.begin_platform():
            for person_id in people:
                await self._add(None, kind, facts, now, person_id)
            if self._has_chat and not rule.is_private:
                await self._add(None, kind, facts, now, channel=Channel.CHAT)

    async def _add(
        self,
        organization_id: OrganizationId | None,
        kind: NoticeKind,
        facts: Facts,
        at: datetime,
        person_id: UserId | None = None,
        channel: Channel = Channel.MAIL,
    ) -> None:
        # Each has a notice of their own, so that one refusal stops nobody else's.
        whose = f":{person_id}" if person_id is not None else ""
        if channel is Channel.CHAT:
            whose = f":{channel.value}"
        notice_id = await self._notices.add_once(
            organization_id,
            cause_of(kind, facts) + whose,
            kind,
            facts,
            at,
            channel=channel,
            person_id=person_id,
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
