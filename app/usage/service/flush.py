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
from asyncpg.pgproto.pgproto import UUID as FastUuid  # noqa: N811 - made and sent in C

from app.catalog.domain import Aggregation, Metric
from app.kernel.entitlements import LimitPolicy, MetricLimit
from app.kernel.errors import BillingError
from app.kernel.ids import OrganizationId
from app.kernel.periods import Period
from app.kernel.rates import plain
from app.pricing.domain import PriceBook, Quote
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


@dataclass(slots=True)
class Recorded:
    """What became of an event: recorded now, or a repeat of one that was."""

    event_id: UUID
    is_repeat: bool
    cost_usd: Decimal | None
    quota: Quota


@dataclass(frozen=True, slots=True)
class Answers:
    """What became of each event of a flush, and where the limited quotas stand after it."""

    each: list[Recorded | BillingError]
    quotas: list[tuple[OrganizationId, Quota]]


@dataclass(slots=True)
class _Counter:
    """A counter that a flush moves: its place, its limit, and by how much."""

    organization_id: OrganizationId
    metric: Metric
    window: Period
    limit: MetricLimit
    amount: Decimal = _FREE
    place: int = 0


@dataclass(slots=True)
class _Place:
    """Where events of one organization, type and window count; looked up once a flush."""

    window: Period
    additive: list[_Counter]
    others: list[Metric]
    shown: _Counter | None


class _Counting:
    """An organization's counters in one flush."""

    def __init__(self, organization_id: OrganizationId, tenant: Tenant) -> None:
        self.organization_id = organization_id
        self.fast_id = FastUuid(organization_id.bytes)
        self.tenant = tenant
        self._window: Period | None = None
        self._places: dict[tuple[str, datetime], _Place] = {}
        self.counters: dict[tuple[str, datetime], _Counter] = {}

    def place(self, meter: Meter, at: datetime) -> _Place:
        window = self._window
        if window is None or not window.start <= at < window.end:
            window = self._window = self.tenant.windows.at(at)
        key = (meter.event_type, window.start)
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = self._new_place(meter, window)
        return place

    def _new_place(self, meter: Meter, window: Period) -> _Place:
        additive: list[_Counter] = []
        for metric in meter.counts:
            if metric.aggregation in ADDITIVE:
                key = (metric.key, window.start)
                counter = self.counters.get(key)
                if counter is None:
                    limit = self.tenant.limits.get(metric.key, _UNLIMITED)
                    counter = _Counter(self.organization_id, metric, window, limit)
                    self.counters[key] = counter
                additive.append(counter)
        others = [metric for metric in meter.counts if metric.aggregation not in ADDITIVE]
        limited = [counter for counter in additive if counter.limit.limit is not None]
        shown = next(iter(limited or additive), None)
        return _Place(window, additive, others, shown)


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
        self._counting: dict[OrganizationId, _Counting] = {}
        for organization_id in organizations:
            tenant = tenants.known(organization_id)
            if tenant is None:
                raise LookupError(f"organization {organization_id} was not read")
            self._counting[organization_id] = _Counting(organization_id, tenant)
        self._quotes: dict[int, tuple[int, Quote]] = {}
        self._others: list[tuple[int, str, str, str, UUID | None]] = []
        self._places: list[_Place] = []
        self._costs: list[Decimal | None] = []
        self._rows = self._all_rows(book)

    def _all_rows(self, book: PriceBook) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        last: OrganizationId | None = None
        counting: _Counting | None = None
        for number, item in enumerate(self._items, 1):
            # A batch is one organization's: the same object, found without hashing it.
            if counting is None or item.organization_id is not last:
                last = item.organization_id
                counting = self._counting[last]
            rows.append(self._row(number, item, counting, book))
        return rows

    def _row(
        self, number: int, item: Submission, counting: _Counting, book: PriceBook
    ) -> tuple[Any, ...]:
        event = item.event
        cost: Decimal | None = _FREE
        quote: Quote | None = None
        if event.tokens_in or event.tokens_out:
            cost = None
            if event.provider is not None and event.model is not None:
                quote = book.quote(
                    item.organization_id, event.provider, event.model, item.occurred_at
                )
                if quote is not None:
                    cost = quote.cost_of(
                        event.tokens_in - event.cached_tokens - event.cache_write_tokens,
                        event.cached_tokens,
                        event.cache_write_tokens,
                        event.tokens_out,
                    )
        self._costs.append(cost)
        place = counting.place(item.meter, item.occurred_at)
        self._places.append(place)
        return (
            counting.fast_id,
            item.event_id,
            item.key_hash,
            item.payload_hash,
            item.occurred_at,
            event.key,
            item.meter.event_type,
            # Decimals travel as text: the driver's own encoding of them costs ten times as much.
            str(event.quantity),
            event.provider,
            event.model,
            event.tokens_in,
            event.tokens_out,
            event.cached_tokens,
            event.cache_write_tokens,
            event.reasoning_tokens,
            None if cost is None else str(cost),
            None if quote is None or cost is None else self._price_place(quote),
            event.user_id,
            event.debate_id,
            event.agent,
            event.workspace,
            event.request_type,
            event.rounds,
            None if event.latency_ms is None else str(event.latency_ms),
            event.metadata,
            event.raw_usage,
            place.window.start,
            self._count(number, item, place),
        )

    def _price_place(self, quote: Quote) -> int:
        """Where the quote stands among those of this flush; most events share a few."""
        known = self._quotes.get(id(quote))
        if known is None:
            known = self._quotes[id(quote)] = (len(self._quotes) + 1, quote)
        return known[0]

    def _count(self, number: int, item: Submission, place: _Place) -> str:
        """Add the event to its counters; gives back what it counted, as JSON."""
        counted: list[str] = []
        for counter in place.additive:
            metric = counter.metric
            amount = amount_of(metric, item.event)
            counter.amount += amount
            counted.append(f'"{metric.key}":"{amount}"')
        for metric in place.others:
            amount = amount_of(metric, item.event)
            value = None
            if metric.aggregation is Aggregation.UNIQUE:
                value = key_hash(str(getattr(item.event, metric.unique_field or "user_id", "")))
            self._others.append((number, metric.key, metric.aggregation.value, str(amount), value))
            counted.append(f'"{metric.key}":"{amount}"')
        return "{" + ",".join(counted) + "}"

    def arguments(self, now: datetime) -> list[Any]:
        # Every flush of every process names counters in this order, and locks them so.
        counters = [
            counting.counters[key]
            for counting in self._counting.values()
            for key in sorted(counting.counters)
        ]
        self._counters = counters
        for place, counter in enumerate(counters, 1):
            counter.place = place
        quotes = [quote for _, quote in self._quotes.values()]
        others = self._others
        return [
            self._organizations,
            [self._counting[each].tenant.stamp for each in self._organizations],
            self._version,
            now,
            *(_dense(column) for column in zip(*self._rows, strict=True)),
            [number for number, item in enumerate(self._items, 1) if item.enforce],
            [quote.source.value for quote in quotes],
            [quote.reference for quote in quotes],
            [_literal(quote) for quote in quotes],
            [counter.organization_id for counter in counters],
            [counter.metric.key for counter in counters],
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
                counter.metric.key,
                counter.limit.limit,
                counter.limit.policy,
                used[counter.place - 1],
                held[counter.place - 1],
                counter.window,
            )
            for counter in self._counters
        }
        each: list[Recorded | BillingError] = []
        for number, item in enumerate(self._items, 1):
            shown = self._places[number - 1].shown
            quota = quotas[id(shown)] if shown is not None else self._without_counter(number, item)
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
                for counter in self._counters
                if counter.limit.limit is not None
            ],
        )

    def _without_counter(self, number: int, item: Submission) -> Quota:
        window = self._places[number - 1].window
        return Quota(item.meter.metric, None, LimitPolicy.SOFT, _FREE, _FREE, window)

    def _refusal(
        self, number: int, item: Submission, quotas: dict[int, Quota], meters: Meters
    ) -> QuotaExceeded:
        """Names the first limit that the event did not fit under."""
        own = [
            (quotas[id(counter)], amount_of(counter.metric, item.event))
            for counter in self._places[number - 1].additive
        ]
        quota, amount = next((pair for pair in own if not pair[0].allows(pair[1])), own[0])
        plan = self._counting[item.organization_id].tenant.plan
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


def _dense(column: Sequence[Any]) -> Sequence[Any]:
    # `unnest` fills short arrays up with null, and what is not sent need not be encoded.
    return () if column.count(None) == len(column) else column


@lru_cache(maxsize=10_000)
def _literal(quote: Quote) -> str:
    return "{" + ",".join(str(row_id) for row_id in quote.row_ids) + "}"
