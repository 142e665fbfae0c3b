"""Whether somebody else bills the plan already, and what was given beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.periods import Period
from app.subscriptions.given import Stretch, without
from app.subscriptions.repository_coverage import CoverageRepository
from app.subscriptions.repository_given import StretchRepository


@dataclass(frozen=True, slots=True)
class Coverage:
    """From when to when organizations had a subscription, or a plan that was given."""

    spans: dict[UUID, list[tuple[datetime, datetime | None]]] = field(default_factory=dict)
    stretches: dict[UUID, list[Stretch]] = field(default_factory=dict)

    def covers(self, organization_id: UUID, period: Period) -> bool:
        """Whether a subscription lived in any part of *period*."""
        return any(
            born < period.end and (ended is None or ended > period.start)
            for born, ended in self.spans.get(organization_id, ())
        )

    def uncovered(self, organization_id: UUID, period: Period) -> list[Period]:
        """What of *period* no subscription lived in."""
        taken = [
            Period(max(born, period.start), min(ended or period.end, period.end))
            for born, ended in self.spans.get(organization_id, ())
            if born < period.end
            and (ended is None or ended > period.start)
            and (ended is None or ended > born)
        ]
        return without(period, taken)

    def given(self, organization_id: UUID) -> list[Stretch]:
        """Every time in which a given plan was what counted, oldest first."""
        return self.stretches.get(organization_id, [])


class SubscriptionCoverage:
    """Tells plans that are paid through Stripe from those that are billed by hand."""

    def __init__(
        self, work: UnitOfWork, coverage: CoverageRepository, stretches: StretchRepository
    ) -> None:
        self._work = work
        self._coverage = coverage
        self._stretches = stretches

    async def of(self, organization_ids: Sequence[UUID]) -> Coverage:
        """Of these organizations, in two statements. Joins the unit around it."""
        spans: dict[UUID, list[tuple[datetime, datetime | None]]] = defaultdict(list)
        async with self._work.begin_platform():
            for owner, born, ended in await self._coverage.spans_for_platform(organization_ids):
                spans[owner].append((born, ended))
            stretches = await self._stretches.list_for_platform(organization_ids)
        return Coverage(dict(spans), stretches)

    async def given_to(self, since: datetime) -> list[UUID]:
        """Organizations for which a given plan counted at any time after *since*."""
        async with self._work.begin_platform():
            return await self._stretches.list_holders_for_platform(since)
