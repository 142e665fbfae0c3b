"""From the first failed payment to the day when it is settled, or given up."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, new_id
from app.organizations.service import OrganizationService
from app.recovery.domain import (
    WARNING,
    Outcome,
    StepKind,
    Timeline,
    has_lapsed,
    outcome_of,
    warns_at,
    with_what_is_owed,
)
from app.recovery.events import GraceEnded, GraceEnding
from app.recovery.models import RecoveryCase
from app.recovery.repository import RecoveryRepository
from app.subscriptions.domain import Standing
from app.subscriptions.service import SubscriptionMirror, SubscriptionService

FOLLOW_JOB = "recovery.follow"
_SWEEP = 500


class RecoveryService:
    """Keeps the cases in step with what is owed, and announces what time brings."""

    def __init__(
        self,
        work: UnitOfWork,
        cases: RecoveryRepository,
        mirror: SubscriptionMirror,
        subscriptions: SubscriptionService,
        organizations: OrganizationService,
        clock: Clock,
    ) -> None:
        self._work = work
        self._cases = cases
        self._mirror = mirror
        self._subscriptions = subscriptions
        self._organizations = organizations
        self._clock = clock

    async def note(
        self,
        organization_id: OrganizationId,
        subscription_id: UUID | None,
        kind: StepKind,
        cause: str,
        **details: Any,
    ) -> None:
        """Put down something that happened, once for its *cause*, and see what follows from it."""
        now = self._clock.now()
        async with self._work.begin(organization_id):
            await self._write(
                organization_id, subscription_id, kind, cause, {"happened_at": now, **details}
            )
            await self.follow(organization_id)

    async def follow(self, organization_id: OrganizationId) -> None:
        """Open, warn, end and close what is due now. Repeating it changes nothing.

        Access and its announcement are one commit: who is told that the grace is over has lost
        what it gave, and not a second before.
        """
        now = self._clock.now()
        async with self._work.begin(organization_id):
            await self._mirror.review_access(organization_id)
            cases = {
                row.subscription_id: row for row in await self._cases.list_open(organization_id)
            }
            for standing in await self._subscriptions.standings(organization_id):
                case = cases.get(standing.subscription_id)
                if standing.first_failed_at is not None and standing.grace_until is not None:
                    case = case or await self._open(organization_id, standing)
                    case.first_failed_at = standing.first_failed_at
                    case.grace_until = standing.grace_until
                    await self._keep_time(organization_id, case, standing, now)
                elif case is not None:
                    await self._close(organization_id, case, standing, now)

    async def sweep(self) -> int:
        """Follow every case of which an appointment was missed; says how many."""
        now = self._clock.now()
        async with self._work.begin_platform():
            due = await self._cases.list_due(now, now + WARNING, _SWEEP)
        for organization_id in due:
            await self.follow(organization_id)
        return len(due)

    async def timeline(self, organization_id: OrganizationId) -> Timeline:
        """What happened to an organization's payments. Raises `OrganizationNotFound`."""
        async with self._work.begin(organization_id):
            await self._organizations.get(organization_id)
            standings = await self._subscriptions.standings(organization_id)
            steps = [row.to_domain() for row in await self._cases.list_steps(organization_id)]
            return Timeline(
                organization_id,
                tuple(row.to_domain() for row in await self._cases.list_cases(organization_id)),
                with_what_is_owed(steps),
                frozenset(one.subscription_id for one in standings if one.awaits_first_payment),
            )

    async def _open(self, organization_id: OrganizationId, standing: Standing) -> RecoveryCase:
        assert standing.first_failed_at is not None
        assert standing.grace_until is not None
        case = RecoveryCase(
            organization_id=organization_id,
            id=new_id(),
            subscription_id=standing.subscription_id,
            first_failed_at=standing.first_failed_at,
            grace_until=standing.grace_until,
        )
        self._cases.add(case)
        await self._write(
            organization_id,
            case.subscription_id,
            StepKind.GRACE_STARTED,
            f"started:{case.id}",
            {"happened_at": case.first_failed_at},
        )
        return case

    async def _keep_time(
        self, organization_id: OrganizationId, case: RecoveryCase, standing: Standing, now: datetime
    ) -> None:
        if has_lapsed(standing, now):
            await self._lapse(organization_id, case, standing, now)
            return
        self._return_at(organization_id, case.grace_until)
        due_at = warns_at(case.first_failed_at, case.grace_until)
        if due_at is None or case.warned_at is not None or standing.is_duplicate:
            return
        if now < due_at:
            self._return_at(organization_id, due_at)
            return
        case.warned_at = now
        await self._write(
            organization_id,
            case.subscription_id,
            StepKind.GRACE_ENDING,
            f"ending:{case.id}",
            {"happened_at": now},
        )
        self._work.announce(GraceEnding(organization_id, case.subscription_id, case.grace_until))

    async def _lapse(
        self, organization_id: OrganizationId, case: RecoveryCase, standing: Standing, now: datetime
    ) -> None:
        if case.lapsed_at is not None:
            return
        case.lapsed_at = min(now, case.grace_until)
        await self._write(
            organization_id,
            case.subscription_id,
            StepKind.GRACE_ENDED,
            f"ended:{case.id}",
            {"happened_at": case.lapsed_at, "detail": standing.status},
        )
        if not standing.is_duplicate:
            # A second subscription beside one that is paid gave nothing that could be lost.
            self._work.announce(GraceEnded(organization_id, case.subscription_id, case.lapsed_at))

    async def _close(
        self, organization_id: OrganizationId, case: RecoveryCase, standing: Standing, now: datetime
    ) -> None:
        outcome = outcome_of(standing)
        if outcome is Outcome.GIVEN_UP:
            await self._lapse(organization_id, case, standing, now)
        case.closed_at, case.outcome = now, outcome.value
        await self._write(
            organization_id,
            case.subscription_id,
            StepKind.CLOSED,
            f"closed:{case.id}",
            {"happened_at": now, "detail": outcome.value},
        )

    async def _write(
        self,
        organization_id: OrganizationId,
        subscription_id: UUID | None,
        kind: StepKind,
        cause: str,
        details: dict[str, Any],
    ) -> None:
        await self._cases.write(
            organization_id,
            cause,
            subscription_id=subscription_id,
            kind=kind.value,
            recorded_at=self._clock.now(),
            **details,
        )

    def _return_at(self, organization_id: OrganizationId, due_at: datetime) -> None:
        if due_at > self._clock.now():
            self._work.enqueue(
                FOLLOW_JOB,
                {"organization_id": organization_id},
                dedupe_key=f"{FOLLOW_JOB}:{organization_id}:{due_at.isoformat()}",
                due_at=due_at,
            )
