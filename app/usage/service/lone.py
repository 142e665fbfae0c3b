"""A lone event: the arguments of the statement that writes one, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import asyncpg

from app.kernel.errors import BillingError
from app.pricing.domain import PriceBook
from app.usage.domain import ADDITIVE, Meters, Quota, amount_of
from app.usage.errors import EventConflict
from app.usage.service.classes import (
    COST_SCALE,
    HOUR,
    Class,
    Counting,
    month_of,
    price_ids,
    whole_prices,
)
from app.usage.service.flush import without_counter
from app.usage.service.submission import Answers, Recorded, Submission
from app.usage.service.tenants import Tenant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def is_plain(item: Submission) -> bool:
    """Whether an event counts nothing but sums."""
    return all(metric.aggregation in ADDITIVE for metric in item.meter.counts)


class Lone:
    """A flush of one event that counts nothing but sums: as `Flush`, for `usage_record_one`."""

    def __init__(self, item: Submission, tenant: Tenant, book: PriceBook) -> None:
        self.items = (item,)
        self._item = item
        self._version = book.version
        self._tenant = tenant
        event = item.event
        counting = Counting(0, item.organization_id, tenant)
        place = self._place = counting.place(item.meter, item.occurred_at, item.microseconds)
        quote = None
        if event.provider is not None and event.model is not None:
            quote = book.quote(item.organization_id, event.provider, event.model, item.occurred_at)
        self._hour = item.microseconds // HOUR
        self._quote = quote
        self._cost = Class(
            1,
            counting,
            place,
            item.meter.event_type,
            event.provider,
            event.model,
            self._hour,
            quote,
            None if quote is None else whole_prices(quote),
        ).cost(event)
        # Every flush of every process locks counters in this order.
        self._counters = sorted(place.additive, key=lambda counter: counter.metric.key)

    def arguments(self, now: datetime) -> list[Any]:
        """The statement's arguments, in the order of `ddl.record_one.ONE_ARGUMENTS`."""
        item, event, quote = self._item, self._item.event, self._quote
        amounts = {each.metric.key: amount_of(each.metric, event) for each in self._counters}
        counted = ",".join(
            [f'"{each.metric.key}":"{amounts[each.metric.key]}"' for each in self._place.additive]
        )
        cost, latency = self._cost, event.latency_ms
        return [
            now,
            self._version,
            item.organization_id,
            self._tenant.stamp,
            item.meter.event_type,
            event.provider,
            event.model,
            _hour_at(self._hour),
            month_of(self._hour),
            self._place.window.start,
            None if quote is None else quote.source.value,
            None if quote is None else quote.reference,
            None if quote is None else price_ids(quote),
            item.event_id,
            item.key_hash,
            item.payload_hash,
            item.occurred_at,
            event.key,
            str(event.quantity),
            event.tokens_in,
            event.tokens_out,
            event.cached_tokens,
            event.cache_write_tokens,
            event.reasoning_tokens,
            None if cost is None else f"{cost}e-{COST_SCALE}",
            f"{{{counted}}}",
            event.rounds,
            None if latency is None else str(latency),
            event.metadata,
            event.raw_usage,
            event.agent,
            item.api_key_id,
            event.debate_id,
            event.request_type,
            event.user_id,
            event.workspace,
            list(amounts),
            [str(amount) for amount in amounts.values()],
            [
                None if each.most is None or not item.enforce else str(each.most)
                for each in self._counters
            ],
        ]

    def answers(self, row: asyncpg.Record | Mapping[str, Any], meters: Meters) -> Answers:
        item, place = self._item, self._place
        used, held = _numbers(row["used"]), _numbers(row["held"])
        quotas = {
            id(each): Quota(
                each.metric.key,
                each.limit.limit,
                each.limit.policy,
                used[number],
                held[number],
                each.window,
                each.metric.aggregation,
            )
            for number, each in enumerate(self._counters)
        }
        shown = place.shown
        quota = without_counter(item, place.window) if shown is None else quotas[id(shown)]
        answer: Recorded | BillingError
        if row["state"] == "written":
            answer = Recorded(item.event_id, False, self._cost, quota)
        elif row["stored_hash"].hex == item.payload_hash:
            # What is sent again after a lost connection finds its own event.
            is_repeat = row["stored_id"].hex != item.event_id
            answer = Recorded(row["stored_id"], is_repeat, self._cost, quota)
        else:
            answer = EventConflict(id=item.event.key)
        limited = [
            (each.organization_id, quotas[id(each)])
            for each in self._counters
            if each.limit.limit is not None
        ]
        return Answers([answer], limited, [])


@lru_cache(maxsize=10_000)
def _hour_at(hour: int) -> datetime:
    return _EPOCH + timedelta(hours=hour)


def _numbers(text: str | None) -> list[Decimal]:
    return [Decimal(number) for number in text.split()] if text else []
