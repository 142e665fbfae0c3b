"""Counters outside of Postgres, in our words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.kernel.errors import Unavailable


class CountersUnavailable(Unavailable):
    """Redis does not answer just now: {reason}."""

    code = "counters_unavailable"


@dataclass(frozen=True, slots=True)
class MonthCounters:
    """What an organization used in a month: whole figures, never increments."""

    organization: str
    month: str
    figures: Mapping[str, str]


class CountersGateway(Protocol):
    """Puts counters. Refuses to be called inside a unit of work.

    Every method raises `CountersUnavailable` when trying again later may help.
    """

    async def put(self, counters: Sequence[MonthCounters], ticket: int) -> None:
        """Put figures where those that are there have no later ticket. Repeats change nothing."""
        ...

    async def complete_since(self) -> str | None:
        """What `mark_complete` said last; None where the counters were lost or never complete."""
        ...

    async def mark_complete(self, since: str) -> None:
        """Say that every month was put."""
        ...
