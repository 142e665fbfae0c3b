"""Counters that stay in the process, for tests."""

from __future__ import annotations

from collections.abc import Sequence

from app.gateways.redis.gateway import CountersUnavailable, MonthCounters
from app.infra.db.unit_of_work import refuse_inside_unit


class MemoryCounters:
    """Behaves as Redis would. `failures` are raised, first one first; `lose` is a restart."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], tuple[int, dict[str, str]]] = {}
        self.since: str | None = None
        self.failures: list[CountersUnavailable] = []

    async def put(self, counters: Sequence[MonthCounters], ticket: int) -> None:
        self._called()
        for each in counters:
            before, _ = self.kept.get((each.organization, each.month), (-1, {}))
            if before <= ticket:
                self.kept[each.organization, each.month] = (ticket, dict(each.figures))

    async def complete_since(self) -> str | None:
        self._called()
        return self.since

    async def mark_complete(self, since: str) -> None:
        self._called()
        self.since = since

    def lose(self) -> None:
        """Forget everything, as a Redis without persistence does."""
        self.kept.clear()
        self.since = None

    def _called(self) -> None:
        refuse_inside_unit()
        if self.failures:
            raise self.failures.pop(0)
