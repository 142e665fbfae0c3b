"""Checks and what they found. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class CheckState(StrEnum):
    """How a check went."""

    OK = "ok"
    BROKEN = "broken"
    UNFINISHED = "unfinished"
    """It took longer than a check may; nobody knows."""


@dataclass(frozen=True, slots=True)
class Check:
    """SQL that returns a row for each place where *sentence* does not hold."""

    name: str
    sentence: str
    sql: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: how many places, and a few of them."""

    check: Check
    state: CheckState
    violations: int
    examples: tuple[Mapping[str, Any], ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """All findings of one visit."""

    examined_at: datetime
    findings: tuple[Finding, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether everything was looked at and holds."""
        return all(finding.state is CheckState.OK for finding in self.findings)
