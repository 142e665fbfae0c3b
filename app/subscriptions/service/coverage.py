"""Whether somebody else bills the plan already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.periods import Period
from app.subscriptions.repository_coverage import CoverageRepository


@dataclass(frozen=True, slots=True)
class Coverage:
    """From when to when organizations had a subscription."""

    spans: dict[UUID, list[tuple[datetime, datetime | None]]] = field(default_factory=dict)

    def covers(self, organization_id: UUID, period: Period) -> bool:
        """Whether a subscription lived in any part of *period*."""
        return any(
            born < period.end and (ended is None or ended > period.start)
            for born, ended in self.spans.get(organization_id, ())
        )


class SubscriptionCoverage:
    """Tells plans that are paid through Stripe from those that are billed by hand."""

    def __init__(self, work: UnitOfWork, coverage: CoverageRepository) -> None:
        self._work = work
        self._coverage = coverage

    async def of(self, organization_ids: Sequence[UUID]) -> Coverage:
        """The subscriptions of these organizations, in one statement. Joins the unit around it."""
        spans: dict[UUID, list[tuple[datetime, datetime | None]]] = defaultdict(list)
        async with self._work.begin_platform():
            for owner, born, ended in await self._coverage.spans_for_platform(organization_ids):
                spans[owner].append((born, ended))
        return Coverage(dict(spans))
