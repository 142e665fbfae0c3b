"""Visits: every check, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from app.doctor.checks import CHECKS
from app.doctor.domain import Check, CheckState, Finding, Report
from app.doctor.queries import DoctorQueries
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.telemetry.metrics import INVARIANT_VIOLATIONS
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId
from app.usage.kept import hours_kept_from

log = structlog.get_logger(__name__)

EXAMPLES = 5
SECONDS_A_CHECK = 20


class Doctor:
    """Looks and says. Each check sees a snapshot of its own, so work goes on meanwhile."""

    def __init__(
        self,
        work: UnitOfWork,
        queries: DoctorQueries,
        clock: Clock,
        *,
        checks: Sequence[Check] = CHECKS,
        seconds_a_check: int = SECONDS_A_CHECK,
    ) -> None:
        self._work = work
        self._queries = queries
        self._clock = clock
        self._checks = checks
        self._seconds = seconds_a_check

    async def examine(self, organization_id: OrganizationId | None = None) -> Report:
        """Run every check, over one organization or over all; sets the metric for all."""
        now = self._clock.now()
        async with self._work.begin_platform():
            archived_until = await self._queries.archived_until()
        given = {
            "organization_id": organization_id,
            "now": now,
            "hours_from": hours_kept_from(now),
            "events_from": archived_until,
        }
        findings = [await self._ask(check, given) for check in self._checks]
        if organization_id is None:
            for finding in findings:
                INVARIANT_VIOLATIONS.labels(finding.check.name).set(finding.violations)
        for finding in findings:
            if finding.state is not CheckState.OK:
                log.error(
                    "doctor.found",
                    check=finding.check.name,
                    state=finding.state.value,
                    violations=finding.violations,
                    examples=finding.examples,
                )
        return Report(now, tuple(findings))

    async def _ask(self, check: Check, given: Mapping[str, object]) -> Finding:
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        async with self._work.begin_platform():
            await self._queries.bound(self._seconds)
            answer = await self._queries.ask(check, given, EXAMPLES)
        seconds = loop.time() - started_at
        if answer is None:
            return Finding(check, CheckState.UNFINISHED, 0, (), seconds)
        violations, examples = answer
        state = CheckState.BROKEN if violations else CheckState.OK
        return Finding(check, state, violations, tuple(examples), seconds)
