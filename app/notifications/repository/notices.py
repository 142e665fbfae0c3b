"""Notices in and out."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import literal, or_, select
from sqlalchemy.dialects.postgresql import insert

from app.infra.db.repository import Repository, decode_cursor, encode_cursor
from app.kernel.ids import OrganizationId, new_id
from app.kernel.pages import Page, PageRequest
from app.notifications.domain import Channel, Facts, NoticeKind, NoticeState, NoticeView
from app.notifications.errors import NoticeNotFound
from app.notifications.models import Notice, PersonalNotice


class NoticeRepository(Repository):
    """Both tables: an organization's notices, and those of people and operators."""

    async def add_once(
        self,
        organization_id: OrganizationId | None,
        cause: str,
        kind: NoticeKind,
        facts: Facts,
        at: datetime,
        *,
        channel: Channel = Channel.MAIL,
        person_id: UUID | None = None,
    ) -> UUID | None:
        """Store a notice unless its cause has one; returns the id of a new one."""
        values: dict[str, Any] = {
            "id": new_id(),
            "cause": cause,
            "kind": kind.value,
            "channel": channel.value,
            "person_id": person_id,
            "facts": dict(facts),
            "state": NoticeState.PENDING.value,
            "attempts": 0,
            "next_attempt_at": at,
            "created_at": at,
        }
        table: type[Notice | PersonalNotice] = PersonalNotice
        if organization_id is not None:
            table = Notice
            values["organization_id"] = organization_id
        stored = await self.session.execute(
            insert(table).values(values).on_conflict_do_nothing().returning(table.id)
        )
        added: UUID | None = stored.scalar_one_or_none()
        return added

    async def claim(
        self, organization_id: OrganizationId | None, notice_id: UUID
    ) -> Notice | PersonalNotice:
        """The notice, locked until the unit ends. Raises `NoticeNotFound`."""
        found: Notice | PersonalNotice | None
        if organization_id is None:
            found = await self.session.get(
                PersonalNotice, notice_id, with_for_update=True, populate_existing=True
            )
        else:
            found = await self.session.get(
                Notice, (organization_id, notice_id), with_for_update=True, populate_existing=True
            )
        if found is None:
            raise NoticeNotFound
        return found

    async def list_for_organization(
        self,
        organization_id: OrganizationId,
        request: PageRequest,
        state: NoticeState | None,
        kind: NoticeKind | None,
    ) -> Page[NoticeView]:
        query = select(Notice).where(Notice.organization_id == organization_id)
        if state is not None:
            query = query.where(Notice.state == state.value)
        if kind is not None:
            query = query.where(Notice.kind == kind.value)
        page = await self.page(query, request, Notice.id, lambda row: row.id)
        return page.map(lambda row: row.to_domain(organization_id, row.id))

    async def list_for_operators(
        self, request: PageRequest, state: NoticeState | None
    ) -> Page[NoticeView]:
        """Notices of both tables, the latest first."""

        def ids(table: type[Notice | PersonalNotice], owner: Any) -> Any:
            query = select(owner.label("owner"), table.id)
            return query if state is None else query.where(table.state == state.value)

        nobody = literal(None, Notice.organization_id.type)
        both = ids(Notice, Notice.organization_id).union_all(ids(PersonalNotice, nobody)).subquery()
        query = select(both.c.owner, both.c.id).order_by(both.c.id.desc())
        if request.cursor is not None:
            query = query.where(both.c.id < decode_cursor(request.cursor))
        found = (await self.session.execute(query.limit(request.limit + 1))).all()
        shown = [
            (await self._get(owner, notice_id)).to_domain(owner, notice_id)
            for owner, notice_id in found[: request.limit]
        ]
        more = len(found) > request.limit
        return Page(shown, encode_cursor(shown[-1].id) if more else None)

    async def find_owner_for_operators(self, notice_id: UUID) -> OrganizationId | None:
        """Whose notice it is; None for operators' and people's. Raises `NoticeNotFound`."""
        owner = await self.session.scalar(
            select(Notice.organization_id).where(Notice.id == notice_id)
        )
        if owner is None and await self.session.get(PersonalNotice, notice_id) is None:
            raise NoticeNotFound
        return OrganizationId(owner) if owner is not None else None

    async def _get(self, owner: UUID | None, notice_id: UUID) -> Notice | PersonalNotice:
        found: Notice | PersonalNotice | None
        if owner is None:
            found = await self.session.get(PersonalNotice, notice_id)
        else:
            found = await self.session.get(Notice, (owner, notice_id))
        if found is None:
            raise NoticeNotFound
        return found

    async def list_forgotten_due(
        self, before: datetime, limit: int
    ) -> list[tuple[OrganizationId | None, UUID, int]]:
        """Notices that should have been tried before *before*, and nobody is at it."""

        def waiting(table: type[Notice | PersonalNotice], owner: Any) -> Any:
            return select(owner, table.id, table.attempts).where(
                table.state == NoticeState.PENDING.value,
                table.next_attempt_at < before,
                or_(table.leased_until.is_(None), table.leased_until < before),
            )

        theirs = waiting(Notice, Notice.organization_id)
        ours = waiting(PersonalNotice, literal(None, Notice.organization_id.type))
        found = await self.session.execute(theirs.union_all(ours).limit(limit))
        return [(owner, notice_id, attempts) for owner, notice_id, attempts in found]
