"""What a handler is, and the short answers that handlers share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from app.subscriptions.service import Taken
from app.webhooks.domain import HANDLED, Outcome, PendingEvent, ignored

Apply = Callable[[], Awaitable[Outcome]]
"""Writes what was fetched, inside the unit that marks the event."""
Handler = Callable[[PendingEvent], Awaitable[Apply]]
"""Fetches what an event hints at, outside any unit, and says how to write it."""

FOREIGN = ignored("foreign_customer")
GONE = ignored("gone")
NO_OBJECT = ignored("no_object")
UNKNOWN_PRICE = ignored("unknown_price")
ALARMING = frozenset({UNKNOWN_PRICE.note})
"""Notes that an operator must hear of."""


def settled(outcome: Outcome) -> Apply:
    """For an event of which nothing is to be written but its outcome."""

    async def apply() -> Outcome:
        return outcome

    return apply


def outcome_of(*taken: Taken) -> Outcome:
    return UNKNOWN_PRICE if Taken.UNKNOWN_PRICE in taken else HANDLED
