"""A visit on the wire."""

from __future__ import annotations

from typing import Any

from app.doctor.domain import CheckState, Finding, Report
from app.infra.http.schemas import Instant, OutputModel


class FindingOut(OutputModel):
    """A check, whether it holds, and the first places where it does not."""

    name: str
    sentence: str
    state: CheckState
    violations: int
    examples: list[dict[str, Any]]
    seconds: float

    @classmethod
    def of(cls, finding: Finding) -> FindingOut:
        return cls(
            name=finding.check.name,
            sentence=finding.check.sentence,
            state=finding.state,
            violations=finding.violations,
            examples=[dict(example) for example in finding.examples],
            seconds=round(finding.seconds, 4),
        )


class ReportOut(OutputModel):
    """Every check of a visit."""

    healthy: bool
    examined_at: Instant
    checks: list[FindingOut]

    @classmethod
    def of(cls, report: Report) -> ReportOut:
        return cls(
            healthy=report.is_healthy,
            examined_at=report.examined_at,
            checks=[FindingOut.of(finding) for finding in report.findings],
        )
