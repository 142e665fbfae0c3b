"""One flush: the arguments of the writing statement, and the meaning of what it gives back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg

from app.catalog.domain import Aggregation
from app.kernel.entitlements import LimitPolicy, MetricLimit
from app.kernel.errors import BillingError
from app.kernel.ids import OrganizationId
from app.kernel.periods import Period
from app.kernel.rates import plain
from app.pricing.domain import PriceBook, Quote, Tokens
from app.usage.domain import ADDITIVE, Meter, Meters, NewEvent, Quota, amount_of
from app.usage.errors import EventConflict, QuotaExceeded
from app.usage.service.tenants import Tenant, Tenants

_FREE = Decimal(0)
_UNLIMITED = MetricLimit(None, LimitPolicy.SOFT)


@dataclass(slots=True)
class Submission:
    """An event on its way to the database. Its id is made once, so a second flush repeats it."""

    organization_id: OrganizationId
    event: NewEvent
    meter: Meter
    occurred_at: datetime
    event_id: UUID
    key_hash: UUID
    payload_hash: bytes
    enforce: bool


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of an event: recorded now, or a repeat of one that was."""

    event_id: UUID
    is_repeat: bool
    cost_usd: Decimal | None
    quota: Quota


@dataclass(frozen=True, slots=True)
class Answers:
    each: list[Recorded | BillingError]
    quotas: list[tuple[OrganizationId, Quota]]


@dataclass(slots=True)
class _Counter:
    """A counter that a flush moves: its place, its limit, and by how much."""

    organization_id: OrganizationId
    metric: str
    window: Period
    limit: MetricLimit
    amount: Decimal = _FREE
    place: int = 0


class Flush:
    """One flush: the arguments of the statement, and the meaning of what it gave back."""

    def __init__(
        self,
        items: Sequence[Submission],
        organizations: Sequence[OrganizationId],
        tenants: Tenants,
        book: PriceBook,
    ) -> None:
        self._items = items
        self._organizations = organizations
        self._version = book.version
        self._tenants: dict[OrganizationId, Tenant] = {}
        for organization_id in organizations:
            tenant = tenants.known(organization_id)
            if tenant is None:
                raise LookupError(f"organization {organization_id} was not read")
            self._tenants[organization_id] = tenant
        self._counters: dict[tuple[OrganizationId, str, datetime], _Counter] = {}
        self._contributions: list[tuple[int, _Counter, Decimal]] = []
        self._others: list[tuple[int, str, str, Decimal, UUID | None]] = []
        self._shown: list[_Counter | None] = []
        self._costs: list[Decimal | None] = []
        self._rows = [self._row(number, item, book) for number, item in enumerate(items, 1)]

    def _row(self, number: int, item: Submission, book: PriceBook) -> tuple[Any, ...]:
        event = item.event
        cost: Decimal | None = _FREE
        quote: Quote | None = None
        if event.tokens_in or event.tokens_out:
            cost = None
            if event.provider is not None and event.model is not None:
                cost, quote = book.cost(
                    item.organization_id,
                    event.provider,
                    event.model,
                    Tokens(
                        event.tokens_in - event.cached_tokens - event.cache_write_tokens,
                        event.cached_tokens,
                        event.cache_write_tokens,
                        event.tokens_out,
                    ),
                    item.occurred_at,
                )
        self._costs.append(cost)
        window, counted = self._count(number, item)
        return (
            item.organization_id,
            item.event_id,
            item.key_hash,
            item.payload_hash,
            item.occurred_at,
            event.key,
            item.meter.event_type,
            event.quantity,
            event.provider,
            event.model,
            event.tokens_in,
            event.tokens_out,
            event.cached_tokens,
            event.cache_write_tokens,
            event.reasoning_tokens,
            cost,
            quote.source.value if quote is not None and cost is not None else None,
            quote.reference if quote is not None and cost is not None else None,
            _literal(quote) if quote is not None and cost is not None else None,
            event.user_id,
            event.debate_id,
            event.agent,
            event.workspace,
            event.request_type,
            event.rounds,
            event.latency_ms,
            event.metadata,
            event.raw_usage,
            window.start,
            counted,
        )

    def _count(self, number: int, item: Submission) -> tuple[Period, str]:
        """Add the event to its counters; gives back its window and what it counted, as JSON."""
        tenant = self._tenants[item.organization_id]
        window = tenant.windows.at(item.occurred_at)
        counted: list[str] = []
        shown: _Counter | None = None
        for metric in item.meter.counts:
            amount = amount_of(metric, item.event)
            counted.append(f'"{metric.key}": "{plain(amount)}"')
            if metric.aggregation not in ADDITIVE:
                value = None
                if metric.aggregation is Aggregation.UNIQUE:
                    value = key_hash(str(getattr(item.event, metric.unique_field or "user_id", "")))
                self._others.append((number, metric.key, metric.aggregation.value, amount, value))
                continue
            place = (item.organization_id, metric.key, window.start)
            counter = self._counters.get(place)
            if counter is None:
                limit = tenant.limits.get(metric.key, _UNLIMITED)
                counter = _Counter(item.organization_id, metric.key, window, limit)
                self._counters[place] = counter
            counter.amount += amount
            self._contributions.append((number, counter, amount))
            if shown is None or (shown.limit.limit is None and counter.limit.limit is not None):
                shown = counter
        self._shown.append(shown)
        return window, "{" + ", ".join(counted) + "}"

    def arguments(self, now: datetime) -> list[Any]:
        # Every flush of every process names counters in this order, and locks them so.
        counters = [self._counters[place] for place in sorted(self._counters)]
        for place, counter in enumerate(counters, 1):
            counter.place = place
        contributions = self._contributions
        others = self._others
        return [
            self._organizations,
            [self._tenants[each].stamp for each in self._organizations],
            self._version,
            now,
            *zip(*self._rows, strict=True),
            [number for number, item in enumerate(self._items, 1) if item.enforce],
            [number for number, _, _ in contributions],
            [counter.place for _, counter, _ in contributions],
            [amount for _, _, amount in contributions],
            [counter.organization_id for counter in counters],
            [counter.metric for counter in counters],
            [counter.window.start for counter in counters],
            [
                counter.limit.limit if counter.limit.policy is LimitPolicy.HARD else None
                for counter in counters
            ],
            [counter.amount for counter in counters],
            [other[0] for other in others],
            [other[1] for other in others],
            [other[2] for other in others],
            [other[3] for other in others],
            [other[4] for other in others],
        ]

    def answers(self, row: asyncpg.Record, meters: Meters) -> Answers:
        used, held = row["used"] or (), row["held"] or ()
        repeated = dict(
            zip(
                row["repeated"],
                zip(row["stored_ids"], row["stored_hashes"], strict=True),
                strict=True,
            )
        )
        denied = set(row["denied"])
        quotas = {
            id(counter): Quota(
                counter.metric,
                counter.limit.limit,
                counter.limit.policy,
                used[counter.place - 1],
                held[counter.place - 1],
                counter.window,
            )
            for counter in self._counters.values()
        }
        each: list[Recorded | BillingError] = []
        for number, item in enumerate(self._items, 1):
            shown = self._shown[number - 1]
            quota = quotas[id(shown)] if shown is not None else self._without_counter(item)
            if number in denied:
                each.append(self._refusal(number, item, quotas, meters))
                continue
            event_id, cost = item.event_id, self._costs[number - 1]
            if number in repeated:
                event_id, stored_hash = repeated[number]
                if stored_hash != item.payload_hash:
                    each.append(EventConflict(id=item.event.key))
                    continue
            # A flush that is sent again after a lost connection finds its own event.
            each.append(Recorded(event_id, event_id != item.event_id, cost, quota))
        return Answers(
            each,
            [
                (counter.organization_id, quotas[id(counter)])
                for counter in self._counters.values()
                if counter.limit.limit is not None
            ],
        )

    def _without_counter(self, item: Submission) -> Quota:
        tenant = self._tenants[item.organization_id]
        return Quota(
            item.meter.metric,
            None,
            LimitPolicy.SOFT,
            _FREE,
            _FREE,
            tenant.windows.at(item.occurred_at),
        )

    def _refusal(
        self, number: int, item: Submission, quotas: dict[int, Quota], meters: Meters
    ) -> QuotaExceeded:
        """Names the first limit that the event did not fit under."""
        own = [
            (quotas[id(counter)], amount)
            for place, counter, amount in self._contributions
            if place == number
        ]
        quota, amount = next((pair for pair in own if not pair[0].allows(pair[1])), own[0])
        plan = self._tenants[item.organization_id].plan
        return quota_exceeded(quota, amount, plan, meters)


def quota_exceeded(quota: Quota, amount: Decimal, plan: str, meters: Meters) -> QuotaExceeded:
    """The refusal that says how much there is, and which plan would do."""
    upgrade = meters.catalog.upgrade_for_quantity(quota.metric, quota.used + amount, plan)
    return QuotaExceeded(
        metric=quota.metric,
        limit=_number(quota.limit),
        used=_number(quota.used),
        held=_number(quota.held),
        remaining=_number(quota.remaining),
        requested=_number(amount),
        resets_at=quota.window.end.isoformat().replace("+00:00", "Z"),
        plan=plan,
        upgrade_to=upgrade,
    )


def _number(value: Decimal | None) -> int | str | None:
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else plain(value)


def key_hash(key: str) -> UUID:
    """The 128-bit name of a caller's id in the table of permanent keys."""
    return UUID(bytes=hashlib.blake2b(key.encode(), digest_size=16).digest())


@lru_cache(maxsize=10_000)
def _literal(quote: Quote) -> str:
    return "{" + ",".join(str(row_id) for row_id in quote.row_ids) + "}"
