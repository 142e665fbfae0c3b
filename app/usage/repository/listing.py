"""Events one after the other by a filter, without reading all of an organization at once.

The primary key orders events by when they happened, and there is no index for each filter: that
would cost every event that is ever recorded. A filter looks through slices of the key instead, and
a reader who finds little in a few of them is told where to go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, Select, select

from app.infra.db.repository import Repository, decode_cursor, encode_cursor
from app.kernel.ids import OrganizationId
from app.kernel.pages import Page, PageRequest
from app.usage.domain import EventFilter, first_id_at, instant_of
from app.usage.models import UsageEvent

SLICE_ROWS = 20_000
_SLICES = 5

_MILLISECOND = timedelta(milliseconds=1)
_ID = UsageEvent.id


class ListingRepository(Repository):
    """Reads events in the order of their ids."""

    async def list_for_organization(
        self, organization_id: OrganizationId, shown: EventFilter, request: PageRequest
    ) -> Page[UsageEvent]:
        """Events by when they happened, latest first; voided ones too.

        A page of a filter may have fewer events than asked for, or none, and still be followed by
        more: it looks at 100,000 events at most.
        """
        labels = _labels(shown)
        stretch = _stretch(organization_id, shown)
        if not labels:
            query = select(UsageEvent).where(*stretch)
            return await self.page(query, request, _ID, lambda event: event.id)
        before = None if request.cursor is None else decode_cursor(request.cursor)
        found: list[UsageEvent] = []
        for _ in range(_SLICES):
            inside = [*stretch, *_older(before)]
            last = await self._end_of_slice(select(_ID).where(*inside).order_by(_ID.desc()))
            query = select(UsageEvent).where(*inside, *labels, *_from(last))
            rows = await self.session.scalars(
                query.order_by(_ID.desc()).limit(request.limit + 1 - len(found))
            )
            found += rows
            if len(found) > request.limit:
                items = found[: request.limit]
                return Page(items, encode_cursor(items[-1].id))
            if last is None:
                return Page(found)
            before = last
        return Page(found, None if before is None else encode_cursor(before))

    async def following(
        self, organization_id: OrganizationId, shown: EventFilter, after: UUID | None, limit: int
    ) -> tuple[Sequence[RowMapping], UUID | None]:
        """The next events of a filter, oldest first, and after which to go on, if at all."""
        labels = _labels(shown)
        inside = _stretch(organization_id, shown)
        if after is not None:
            inside += [after < _ID, UsageEvent.occurred_at >= instant_of(after)]
        last = None
        if labels:
            last = await self._end_of_slice(select(_ID).where(*inside).order_by(_ID))
            if last is not None:
                inside += [last >= _ID, UsageEvent.occurred_at < instant_of(last) + _MILLISECOND]
        query = select(*UsageEvent.__table__.columns).where(*inside, *labels)
        answer = await self.session.execute(query.order_by(_ID).limit(limit))
        rows = answer.mappings().all()
        return rows, rows[-1]["id"] if len(rows) == limit else last

    async def _end_of_slice(self, ids: Select[Any]) -> UUID | None:
        """The id that ends the next slice; None if what is left is less than one."""
        found: UUID | None = await self.session.scalar(ids.offset(SLICE_ROWS - 1).limit(1))
        return found


def _stretch(organization_id: OrganizationId, shown: EventFilter) -> list[ColumnElement[bool]]:
    """The stretch of time of a filter narrows both ids and partitions."""
    conditions = [UsageEvent.organization_id == organization_id]
    if shown.since is not None:
        conditions += [first_id_at(shown.since) <= _ID, UsageEvent.occurred_at >= shown.since]
    if shown.until is not None:
        conditions += [
            first_id_at(shown.until + _MILLISECOND) > _ID,
            UsageEvent.occurred_at < shown.until,
        ]
    return conditions


def _labels(shown: EventFilter) -> list[ColumnElement[bool]]:
    return [
        column == value
        for column, value in (
            (UsageEvent.event_type, shown.type),
            (UsageEvent.debate_id, shown.debate_id),
            (UsageEvent.workspace, shown.workspace),
            (UsageEvent.agent, shown.agent),
            (UsageEvent.model, shown.model),
            (UsageEvent.user_id, shown.user_id),
        )
        if value is not None
    ]


def _older(before: UUID | None) -> list[ColumnElement[bool]]:
    if before is None:
        return []
    return [before > _ID, UsageEvent.occurred_at < instant_of(before) + _MILLISECOND]


def _from(last: UUID | None) -> list[ColumnElement[bool]]:
    if last is None:
        return []
    return [last <= _ID, UsageEvent.occurred_at >= instant_of(last)]
