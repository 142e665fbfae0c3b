"""What was told, and what did not get through."""

from __future__ import annotations

from uuid import UUID

from app.audit.service import AuditLog
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, encode_id, new_id
from app.kernel.pages import Page, PageRequest
from app.notifications.domain import NoticeKind, NoticeState, NoticeView
from app.notifications.errors import NoticeNotDead
from app.notifications.repository.notices import NoticeRepository
from app.notifications.service.delivery import DELIVER


class NoticeDesk:
    """Lists notices, for an organization and for operators, who may send dead ones again."""

    def __init__(
        self, work: UnitOfWork, notices: NoticeRepository, audit: AuditLog, clock: Clock
    ) -> None:
        self._work = work
        self._notices = notices
        self._audit = audit
        self._clock = clock

    async def list_for_organization(
        self,
        organization_id: OrganizationId,
        request: PageRequest,
        state: NoticeState | None,
        kind: NoticeKind | None,
    ) -> Page[NoticeView]:
        """What its people were told, the latest first."""
        async with self._work.begin(organization_id):
            return await self._notices.list_for_organization(organization_id, request, state, kind)

    async def list_for_operators(
        self, request: PageRequest, state: NoticeState | None
    ) -> Page[NoticeView]:
        """Everybody's notices, the latest first."""
        async with self._work.begin_platform():
            return await self._notices.list_for_operators(request, state)

    async def resend(self, notice_id: UUID) -> NoticeView:
        """Try a dead notice again, from the first attempt on. Raises `NoticeNotDead`.

        It says what holds then: what is no longer so becomes obsolete instead.
        """
        async with self._work.begin_platform():
            owner = await self._notices.find_owner_for_operators(notice_id)
            notice = await self._notices.claim(owner, notice_id)
            if not NoticeState(notice.state).is_dead:
                raise NoticeNotDead(state=notice.state)
            self._audit.record(
                "notifications.resent",
                encode_id("ntc", notice_id),
                organization_id=owner,
                before={"state": notice.state, "last_error": notice.last_error},
            )
            notice.state = NoticeState.PENDING.value
            notice.attempts = 0
            notice.settled_at = None
            notice.next_attempt_at = self._clock.now()
            self._work.enqueue(
                DELIVER,
                {"organization_id": owner, "notice_id": notice_id},
                dedupe_key=f"{notice_id}:again:{new_id()}",
            )
            return notice.to_domain(owner, notice_id)
