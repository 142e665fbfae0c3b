"""An event on its way into the database, and what became of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from uuid import UUID

from app.catalog.domain import Aggregation, Metric
from app.kernel.errors import BillingError
from app.kernel.ids import OrganizationId, UserId, encode_id
from app.kernel.principal import Permission, Principal
from app.kernel.rates import EXACT
from app.usage.domain import Meter, NewEvent, Quota, amount_of
from app.usage.service.classes import COST_SCALE
from app.usage.service.spend_notices import Place

_UNITS = 10**COST_SCALE


@dataclass(frozen=True, slots=True)
class Spender:
    """Who spends, as overrides name them, and whether soft limits on spending let them pass."""

    caller: str
    may_exceed: bool

    @classmethod
    def of(cls, principal: Principal) -> Spender:
        return _spender(principal.user_id, Permission.BUDGETS_EXCEED in principal.permissions)


@lru_cache(maxsize=1_000)
def _spender(user_id: UserId, may_exceed: bool) -> Spender:
    return Spender(encode_id("usr", user_id), may_exceed)


@dataclass(frozen=True, slots=True)
class ReservationUse:
    """The reservation that an event draws on; a final event gives back what is left of it."""

    id: UUID
    is_final: bool


@dataclass(slots=True)
class Submission:
    """An event on its way to the database. Its id is made once, so a second flush repeats it.

    `event_id` and the hashes are 32 hexadecimal digits; `microseconds` is `occurred_at` since 1970.
    """

    organization_id: OrganizationId
    event: NewEvent
    meter: Meter
    occurred_at: datetime
    microseconds: int
    event_id: str
    key_hash: str
    payload_hash: str
    enforce: bool
    api_key_id: UUID | None = None
    is_backfill: bool = False
    reservation: ReservationUse | None = None
    spender: Spender | None = None


class Recorded:
    """What became of an event: recorded now, or a repeat of one that was."""

    __slots__ = ("_cost", "_event_id", "is_repeat", "quota")

    def __init__(
        self, event_id: str | UUID, is_repeat: bool, cost: int | None, quota: Quota
    ) -> None:
        self._event_id = event_id
        self.is_repeat = is_repeat
        self._cost = cost
        self.quota = quota

    @property
    def event_id(self) -> UUID:
        known = self._event_id
        return known if isinstance(known, UUID) else UUID(known)

    @property
    def event_number(self) -> int:
        """The 128 bits of `event_id`."""
        known = self._event_id
        return known.int if isinstance(known, UUID) else int(known, 16)

    @property
    def cost_usd(self) -> Decimal | None:
        """Exact; `None` when it has no price yet."""
        return None if self._cost is None else EXACT.scaleb(Decimal(self._cost), -COST_SCALE)

    @property
    def cost_text(self) -> str | None:
        """`plain(cost_usd)`, at a fifth of the price."""
        if self._cost is None:
            return None
        whole, part = divmod(self._cost, _UNITS)
        return f"{whole}.{part:0{COST_SCALE}}".rstrip("0") if part else str(whole)


@dataclass(frozen=True, slots=True)
class Answers:
    """What became of each event of a flush, and where the limited quotas stand after it."""

    each: list[Recorded | BillingError]
    quotas: list[tuple[OrganizationId, Quota]]
    news: list[Place]


def key_hash(key: str) -> UUID:
    """The 128-bit name of a caller's id in the table of permanent keys."""
    return UUID(bytes=hashlib.blake2b(key.encode(), digest_size=16).digest())


def value_of(metric: Metric, event: NewEvent) -> str | None:
    """What an event counts towards a metric that is no sum; `None` when it has no such value."""
    if metric.aggregation is not Aggregation.UNIQUE:
        return str(amount_of(metric, event))
    value = getattr(event, metric.unique_field or "")
    return None if value is None else key_hash(value).hex


def spenders_of(items: Sequence[Submission]) -> list[tuple[int, str | None, bool]]:
    """Whose the events are that ask to be refused, by their places."""
    return [
        (
            number,
            item.spender.caller if item.spender else None,
            bool(item.spender and item.spender.may_exceed),
        )
        for number, item in enumerate(items, 1)
        if item.enforce
    ]
