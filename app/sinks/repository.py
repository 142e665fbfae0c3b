"""The tables of `models.py`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert

from app.infra.db.repository import Repository
from app.sinks.models import DeadLetter, Sink


class SinkRepository(Repository):
    """How sinks are doing."""

    platform = True

    async def get_or_add(self, name: str) -> Sink:
        await self.session.execute(
            insert(Sink).values(name=name, failures=0).on_conflict_do_nothing()
        )
        return await self.session.get_one(Sink, name)

    async def mark_delivered(self, name: str, at: datetime) -> None:
        await self.session.execute(
            update(Sink)
            .where(Sink.name == name)
            .values(failures=0, last_failure=None, next_attempt_at=None, delivered_at=at)
        )

    async def mark_failed(self, name: str, failures: int, reason: str, next_at: datetime) -> None:
        await self.session.execute(
            update(Sink)
            .where(Sink.name == name)
            .values(failures=failures, last_failure=reason, next_attempt_at=next_at)
        )

    async def add_dead_letters(
        self, sink: str, refused: Mapping[tuple[UUID, UUID], str], at: datetime
    ) -> None:
        """Keep what was refused; the first reason stays."""
        await self.session.execute(
            insert(DeadLetter)
            .values(
                [
                    {
                        "organization_id": organization_id,
                        "id": event_id,
                        "sink": sink,
                        "reason": reason,
                        "refused_at": at,
                    }
                    for (organization_id, event_id), reason in refused.items()
                ]
            )
            .on_conflict_do_nothing()
        )
