"""A Lago that stays in the process, for tests."""

from __future__ import annotations

from collections.abc import Sequence

from app.gateways.lago.gateway import BATCH, LagoEvent, LagoUnavailable, Refusals
from app.infra.db.unit_of_work import refuse_inside_unit


class MemoryLago:
    """Keeps each transaction once, and a batch as a whole or not at all, as Lago does.

    `failures` are raised, first one first. Events of a code in `unknown_codes` are refused, by
    position or, where `is_taciturn`, without saying which.
    """

    def __init__(self) -> None:
        self.taken: dict[str, LagoEvent] = {}
        self.calls = 0
        self.failures: list[LagoUnavailable] = []
        self.unknown_codes: set[str] = set()
        self.is_taciturn = False

    async def send(self, events: Sequence[LagoEvent]) -> Refusals | None:
        refuse_inside_unit()
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        if len(events) > BATCH:
            return Refusals(frozenset(), {}, "too_many_events")
        known = {n for n, event in enumerate(events) if event.transaction_id in self.taken}
        wrong = {
            n: "code: ['unknown']"
            for n, event in enumerate(events)
            if event.code in self.unknown_codes
        }
        if wrong and self.is_taciturn:
            return Refusals(frozenset(), {}, "HTTP 422")
        if known or wrong:
            return Refusals(frozenset(known), wrong, "HTTP 422")
        self.taken |= {event.transaction_id: event for event in events}
        return None
