"""Limits on spending, kept in step with what was spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId
from app.usage.errors import SpendLimitNotFound
from app.usage.repository.spend import SpendRepository
from app.usage.service.spend_notices import SpendNotices
from app.usage.spend import (
    Limit,
    Override,
    Refusal,
    SpendLabels,
    SpendStanding,
)


@dataclass(frozen=True, slots=True)
class SpendVerdict:
    """Where a limit stands, and why it would refuse; None where it would not."""

    standing: SpendStanding
    refusal: Refusal | None


class SpendLimits:
    """What budgets ask of usage. Every method joins the caller's unit.

    Whoever changes a limit works alone: no event of the organization is recorded meanwhile, so
    what was spent before the limit is counted, what comes after it is posted, and nothing is
    both or neither.
    """

    def __init__(
        self, work: UnitOfWork, spend: SpendRepository, notices: SpendNotices, clock: Clock
    ) -> None:
        self._work = work
        self._spend = spend
        self._notices = notices
        self._clock = clock

    async def hold_still(self, organization_id: OrganizationId) -> None:
        """Keep everybody who records or changes limits out until the unit ends.

        Call it before taking any other lock in a unit that changes limits.
        """
        async with self._work.begin(organization_id):
            await self._spend.alone(organization_id)

    async def put(self, organization_id: OrganizationId, limit: Limit) -> SpendStanding:
        """Set a limit. A new one begins with what its running period has spent already.

        Thresholds that the new amount has reached are announced. An amount above what is spent
        ends a suspension that the limit had imposed by itself. The scope, subject and period of a
        known limit do not change.
        """
        now = self._clock.now()
        start = limit.period.start(now)
        async with self._work.begin(organization_id):
            await self._spend.alone(organization_id)
            known = await self._spend.find(organization_id, limit.id)
            if known is not None and known.is_active:
                await self._spend.save(organization_id, limit, known.counts_from)
            else:
                await self._spend.save(organization_id, limit, start)
                await self._spend.count(organization_id, limit, start)
            await self._suspend_if_reached(organization_id, limit.id)
            await self._notices.announce(organization_id, limit.id, start)
            return await self.standing(organization_id, limit.id)

    async def _suspend_if_reached(self, organization_id: OrganizationId, limit_id: UUID) -> None:
        """What posting does when the amount is reached, for an amount that moved instead."""
        now = self._clock.now()
        standing = await self.standing(organization_id, limit_id)
        place = (organization_id, limit_id, standing.period_start)
        if 0 < standing.posted >= standing.limit.amount_usd:
            before = await self._spend.note_reached(*place, now)
            if before is None and standing.limit.auto_suspend and not standing.is_suspended(now):
                await self._spend.set_suspension(
                    organization_id, limit_id, now, standing.period_end
                )
            return
        before = await self._spend.note_reached(*place, None)
        if before is not None and before == standing.suspended_at:
            await self._spend.set_suspension(organization_id, limit_id, None)

    async def remove(self, organization_id: OrganizationId, limit_id: UUID) -> None:
        """Take a limit away; what reservations hold on it is given back as they settle."""
        async with self._work.begin(organization_id):
            await self._spend.alone(organization_id)
            if not await self._spend.deactivate(organization_id, limit_id):
                raise SpendLimitNotFound

    async def suspend(self, organization_id: OrganizationId, limit_id: UUID) -> None:
        """Refuse everything in the limit's scope until it is resumed."""
        async with self._work.begin(organization_id):
            await self._spend.alone(organization_id)
            if not await self._spend.set_suspension(organization_id, limit_id, self._clock.now()):
                raise SpendLimitNotFound

    async def resume(self, organization_id: OrganizationId, limit_id: UUID) -> None:
        """Refuse no longer; a limit that suspends itself does so at most once a period."""
        async with self._work.begin(organization_id):
            await self._spend.alone(organization_id)
            if not await self._spend.set_suspension(organization_id, limit_id, None):
                raise SpendLimitNotFound

    async def override(self, organization_id: OrganizationId, override: Override) -> None:
        """Let someone pass a limit for a while."""
        async with self._work.begin(organization_id):
            await self._spend.alone(organization_id)
            await self.standing(organization_id, override.limit_id)
            await self._spend.add_override(organization_id, override)

    async def end_override(self, organization_id: OrganizationId, override_id: UUID) -> None:
        """Take an override back; one that is gone stays gone."""
        async with self._work.begin(organization_id):
            await self._spend.alone(organization_id)
            await self._spend.delete_override(organization_id, override_id)

    async def standing(self, organization_id: OrganizationId, limit_id: UUID) -> SpendStanding:
        """Where a limit stands in its running period. Raises `SpendLimitNotFound`."""
        found = await self.standings(organization_id, [limit_id])
        if not found:
            raise SpendLimitNotFound
        return found[0]

    async def standings(
        self, organization_id: OrganizationId, limit_ids: Sequence[UUID] | None = None
    ) -> list[SpendStanding]:
        """Where active limits stand: those named, or all."""
        async with self._work.begin(organization_id):
            return await self._spend.standings(
                organization_id, self._clock.now(), limit_ids=limit_ids
            )

    async def check(
        self,
        organization_id: OrganizationId,
        labels: SpendLabels,
        cost: Decimal,
        *,
        caller: str,
        may_exceed: bool,
    ) -> list[SpendVerdict]:
        """Every limit that spending with these labels would meet, and which would refuse it.

        It is advice: nothing is held, and by the time of spending it may be otherwise.
        """
        now = self._clock.now()
        async with self._work.begin(organization_id):
            standings = await self._spend.standings(organization_id, now, labels=labels)
            lifted = await self._spend.lifted(
                organization_id,
                [standing.limit.id for standing in standings],
                [caller, *([labels.user_id] if labels.user_id is not None else [])],
                now,
            )
        return [
            SpendVerdict(
                standing,
                standing.refusal_of(
                    cost, now, may_exceed=may_exceed, is_lifted=standing.limit.id in lifted
                ),
            )
            for standing in standings
        ]
