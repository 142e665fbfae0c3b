"""How sinks are doing, and what they refused."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from app.infra.db.base import PlatformTable, TenantTable


class Sink(PlatformTable):
    """Whether a sink answers, and when to try again if it does not."""

    __tablename__ = "sinks"

    name: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    last_failure: Mapped[str | None]
    next_attempt_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]


class DeadLetter(TenantTable):
    """An event (by its id) that a sink refused for good, and why."""

    __tablename__ = "sink_dead_letters"

    sink: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    refused_at: Mapped[datetime]
