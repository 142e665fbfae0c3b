"""What each run came to, and where the next one begins."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from app.infra.db.base import PlatformTable
from app.kernel.ids import new_id
from app.reconciliation.domain import Report


class Reconciliation(PlatformTable):
    """A run. A platform's, because one run looks at many organizations."""

    __tablename__ = "reconciliations"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime]
    trigger: Mapped[str]
    events: Mapped[int]
    customers: Mapped[int]
    subscriptions: Mapped[int]
    invoices: Mapped[int]
    by_kind: Mapped[dict[str, Any]]
    differences: Mapped[list[Any]]
    error: Mapped[str | None]
    events_after: Mapped[str | None]
    """The event to go on after; null when the list was read to its end."""
    customers_after: Mapped[UUID | None]
    """The customer to go on after; null when the round was completed."""

    def to_domain(self) -> Report:
        return Report(
            id=self.id,
            started_at=self.started_at,
            finished_at=self.finished_at,
            trigger=self.trigger,
            events=self.events,
            customers=self.customers,
            subscriptions=self.subscriptions,
            invoices=self.invoices,
            is_round_complete=self.customers_after is None,
            error=self.error,
            by_kind=self.by_kind,
            differences=self.differences,
        )
