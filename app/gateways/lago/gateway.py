"""What Lago takes, in our words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from app.kernel.errors import Unavailable

BATCH = 100
"""Lago takes no more events at once, unless its operator has said so."""


class LagoUnavailable(Unavailable):
    """Lago does not take events just now: {reason}."""

    code = "lago_unavailable"


@dataclass(frozen=True, slots=True)
class LagoEvent:
    """One event. `transaction_id` makes it unique at Lago, for ever."""

    transaction_id: str
    subscription: str
    code: str
    happened_at: datetime
    properties: Mapping[str, str]
    cost_cents: Decimal | None


@dataclass(frozen=True, slots=True)
class Refusals:
    """Why Lago took none of a batch, by the positions it complains about.

    `known` were taken before. `by_position` is empty where Lago does not say which it was.
    """

    known: frozenset[int]
    by_position: Mapping[int, str]
    reason: str


class LagoGateway(Protocol):
    """Hands events over. Refuses to be called inside a unit of work."""

    async def send(self, events: Sequence[LagoEvent]) -> Refusals | None:
        """Hand over up to `BATCH` events: None if all were taken, otherwise none was.

        Raises `LagoUnavailable` when trying again later may help.
        """
        ...
