"""Feeds, their notes, and what the notes speak of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import any_, delete, func, literal, select, text, tuple_, update

from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId
from app.usage.ddl.feeds import note_events, note_months, note_nothing
from app.usage.domain import first_id_at, instant_of
from app.usage.models import UsageEvent, UsageFeed, UsageMonth, UsageNote

_MILLISECOND = timedelta(milliseconds=1)

Named = tuple[OrganizationId, str]


class FeedRepository(Repository):
    """Everybody's notes: a flush writes for many organizations at once."""

    platform = True

    async def find(self, name: str) -> UsageFeed | None:
        return await self.session.get(UsageFeed, name)

    async def begin(self, name: str, at: datetime, *, events: bool) -> None:
        """Note from now on; a flush that runs meanwhile is waited for, a short while."""
        await self.session.execute(text("set local lock_timeout = '3s'"))
        for statement in note_events(name) if events else note_months(name):
            await self.session.execute(text(statement))
        self.session.add(UsageFeed(name=name, since=at, read_at=at))

    async def end(self, name: str) -> None:
        await self.session.execute(text("set local lock_timeout = '3s'"))
        for statement in note_nothing(name):
            await self.session.execute(text(statement))
        await self.session.execute(delete(UsageNote).where(UsageNote.feed == name))
        await self.session.execute(delete(UsageFeed).where(UsageFeed.name == name))

    async def mark_read(self, name: str, at: datetime) -> None:
        await self.session.execute(
            update(UsageFeed).where(UsageFeed.name == name).values(read_at=at)
        )

    async def claim(self, name: str, now: datetime, until: datetime, limit: int) -> list[UsageNote]:
        """Some notes that nobody has leased, leased until *until*."""
        free = (
            select(UsageNote.id)
            .where(
                UsageNote.feed == name,
                UsageNote.leased_until.is_(None) | (UsageNote.leased_until < now),
            )
            .order_by(UsageNote.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        rows = await self.session.scalars(
            update(UsageNote)
            .where(UsageNote.id.in_(free))
            .values(leased_until=until)
            .returning(UsageNote)
        )
        return sorted(rows, key=lambda note: note.id)

    async def release(self, ids: Sequence[int]) -> None:
        await self.session.execute(
            update(UsageNote).where(UsageNote.id.in_(ids)).values(leased_until=None)
        )

    async def forget(self, ids: Sequence[int]) -> None:
        await self.session.execute(delete(UsageNote).where(UsageNote.id.in_(ids)))

    async def count(self, name: str) -> int:
        found = select(func.count()).select_from(UsageNote).where(UsageNote.feed == name)
        return int(await self.session.scalar(found) or 0)

    async def waiting_of(
        self, name: str, organization_id: OrganizationId
    ) -> list[tuple[UUID, UUID]]:
        """The events of one organization that are noted and not passed on."""
        notes = await self.session.scalars(
            select(UsageNote).where(
                UsageNote.feed == name,
                literal(organization_id) == any_(UsageNote.organization_ids),
            )
        )
        return [
            (owner, event_id)
            for note in notes
            for owner, event_id in zip(note.organization_ids, note.event_ids or (), strict=False)
            if owner == organization_id
        ]

    async def take_ticket(self) -> int:
        """A number larger than any that was taken before."""
        statement = text("select nextval(pg_get_serial_sequence('usage_notes', 'id'))")
        return int(await self.session.scalar(statement) or 0)

    async def events(self, named: Sequence[tuple[UUID, UUID]]) -> list[UsageEvent]:
        """The events with these organizations and ids that are still here."""
        if not named:
            return []
        ids = [event_id for _, event_id in named]
        first, last = instant_of(min(ids)), instant_of(max(ids)) + _MILLISECOND
        rows = await self.session.scalars(
            select(UsageEvent)
            .where(
                tuple_(UsageEvent.organization_id, UsageEvent.id).in_(named),
                UsageEvent.id >= first_id_at(first),
                UsageEvent.occurred_at >= first,
                UsageEvent.occurred_at < last,
            )
            .order_by(UsageEvent.organization_id, UsageEvent.id)
        )
        return list(rows)

    async def months(self, named: Sequence[Named]) -> list[UsageMonth]:
        rows = await self.session.scalars(
            select(UsageMonth).where(
                tuple_(UsageMonth.organization_id, UsageMonth.month).in_(named)
            )
        )
        return list(rows)

    async def months_after(self, last: Named | None, limit: int) -> list[UsageMonth]:
        """Every organization's months in the order of their key."""
        key = tuple_(UsageMonth.organization_id, UsageMonth.month)
        query = select(UsageMonth)
        if last is not None:
            query = query.where(key > last)
        rows = await self.session.scalars(
            query.order_by(UsageMonth.organization_id, UsageMonth.month).limit(limit)
        )
        return list(rows)
