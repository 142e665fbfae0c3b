"""One flush: the arguments of the writing statement, and the meaning of what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from operator import itemgetter
from typing import Any
from uuid import uuid4

import asyncpg

from app.kernel.entitlements import LimitPolicy
from app.kernel.errors import BillingError
from app.kernel.ids import OrganizationId
from app.pricing.domain import PriceBook
from app.usage.ddl.columns import (
    CLASSES,
    COUNTERS,
    DAYS,
    ENFORCED,
    EVENTS,
    HOURS,
    MONTHS,
    OTHERS,
    SPENDERS,
)
from app.usage.domain import ADDITIVE, Meters, Quota, amount_of, microseconds_of
from app.usage.errors import EventConflict
from app.usage.service.classes import (
    COST_SCALE,
    HOUR,
    Class,
    Counter,
    Counting,
    Sums,
    added,
    month_of,
    price_ids,
    taken_json,
    whole_prices,
)
from app.usage.service.columns import SEPARATOR, Columns
from app.usage.service.refusals import quota_refusal, refusals_by_event, spending_refusal
from app.usage.service.spend_notices import places_of
from app.usage.service.submission import Answers, Recorded, Submission, spenders_of, value_of
from app.usage.service.tenants import Tenants

_NOTHING = Decimal(0)


class Flush:
    """One flush: the arguments of the statement, and the meaning of what it gave back."""

    def __init__(
        self,
        items: Sequence[Submission],
        organizations: Sequence[OrganizationId],
        tenants: Tenants,
        book: PriceBook,
    ) -> None:
        self.items = items
        self._organizations = organizations
        self._version = book.version
        self._counting: dict[OrganizationId, Counting] = {}
        for number, organization_id in enumerate(organizations):
            tenant = tenants.known(organization_id)
            if tenant is None:
                raise LookupError(f"organization {organization_id} was not read")
            self._counting[organization_id] = Counting(number, organization_id, tenant)
        # Callers of one organization mostly hold the same object, and hashing it anew is dear.
        self._by_identity: dict[int, Counting] = {}
        self._classes: list[Class] = []
        self._class_of: list[Class] = []
        self._quantities: list[int | Decimal] = []
        self._costs: list[int | None] = []
        self._counted: list[str] = []
        self._days: dict[tuple[int, int, str, str], Sums] = {}
        self._enforced: list[tuple[int, Counter | None, int | Decimal | None]] = []
        self._others: list[tuple[int, Counter, str, str, Decimal | None]] = []
        for number, item in enumerate(items, 1):
            self._count(number, item, book)
        # Every flush of every process names counters in this order, and locks them so.
        self._counters = [
            counting.counters[key]
            for counting in self._counting.values()
            for key in sorted(counting.counters)
        ]
        for place, counter in enumerate(self._counters, 1):
            counter.place = place

    def _count(self, number: int, item: Submission, book: PriceBook) -> None:
        event = item.event
        counting = self._by_identity.get(id(item.organization_id))
        if counting is None:
            counting = self._counting[item.organization_id]
            self._by_identity[id(item.organization_id)] = counting
        place = counting.place(item.meter, item.occurred_at, item.microseconds)
        quote = None
        if event.provider is not None and event.model is not None:
            quote = book.quote(item.organization_id, event.provider, event.model, item.occurred_at)
        hour = item.microseconds // HOUR
        key = (place, hour, event.provider, event.model, quote)
        found = counting.classes.get(key)
        if found is None:
            found = counting.classes[key] = Class(
                len(self._classes) + 1,
                counting,
                place,
                item.meter.event_type,
                event.provider,
                event.model,
                hour,
                quote,
                None if quote is None else whole_prices(quote),
            )
            self._classes.append(found)
        cost = found.cost(event)
        quantity = 1 if event.quantity == 1 else event.quantity
        found.sums.count(event, quantity, cost)
        self._class_of.append(found)
        self._quantities.append(quantity)
        self._costs.append(cost)
        self._counted.append(self._counters_moved(number, item, found))
        if (
            event.agent
            or item.api_key_id
            or event.debate_id
            or event.request_type
            or event.user_id
            or event.workspace
        ):
            self._count_labels(item, counting.number, hour // 24, quantity, cost)

    def _count_labels(
        self, item: Submission, owner: int, day: int, quantity: int | Decimal, cost: int | None
    ) -> None:
        event = item.event
        for dimension, value in (
            ("agent", event.agent),
            ("api_key", item.api_key_id),
            ("debate", event.debate_id),
            ("request_type", event.request_type),
            ("user", event.user_id),
            ("workspace", event.workspace),
        ):
            if value is not None:
                key = (owner, day, dimension, str(value))
                sums = self._days.get(key)
                if sums is None:
                    sums = self._days[key] = Sums()
                sums.count(event, quantity, cost)

    def _counters_moved(self, number: int, item: Submission, found: Class) -> str:
        """Add the event to its counters; gives back what it counted, as JSON."""
        counted: list[str] = []
        for counter in found.place.additive:
            amount = amount_of(counter.metric, item.event)
            counter.amount = added(counter.amount, amount)
            counted.append(f'"{counter.metric.key}":"{amount}"')
            if item.enforce and counter.limit.policy is LimitPolicy.HARD:
                self._enforced.append((number, counter, amount))
        if found.place.others:
            counted += self._others_moved(number, item, found.place.others)
        return "{" + ",".join(counted) + "}"

    def _others_moved(
        self, number: int, item: Submission, counters: Sequence[Counter]
    ) -> list[str]:
        """The same for metrics that are no sums: what they counted says how, too."""
        counted: list[str] = []
        is_limited = False
        for counter in counters:
            kind = counter.metric.aggregation.value
            value = value_of(counter.metric, item.event)
            if value is None:
                continue
            most = counter.most if item.enforce else None
            is_limited = is_limited or most is not None
            self._others.append((number, counter, kind, value, most))
            counted.append(f'"{counter.metric.key}":{{"{kind}":"{value}"}}')
        if is_limited:
            self._enforced.append((number, None, None))
        return counted

    @property
    def counters(self) -> Sequence[Counter]:
        """Every counter that the flush moves, in the order in which they are locked."""
        return self._counters

    def taken(self) -> list[str]:
        """What each event takes of what may be held for it, as JSON: cost as `$`, and metrics."""
        pairs = zip(self._costs, self._counted, strict=True)
        return [taken_json(cost, counted) for cost, counted in pairs]

    def arguments(self, now: datetime) -> list[Any]:
        """The statement's arguments, in the order of `ddl.columns.ARGUMENTS`."""
        separator = SEPARATOR
        while True:
            columns = Columns(separator)
            self._write(columns)
            if not columns.is_torn:
                break
            # A caller's text contains the separator; one that nobody can know contains it not.
            separator = uuid4().hex
        return [
            separator,
            now,
            self._version,
            separator.join([each.hex for each in self._organizations]),
            separator.join([str(each.tenant.stamp) for each in self._counting.values()]),
            *columns.texts,
        ]

    def _write(self, columns: Columns) -> None:
        classes, items = self._classes, self.items
        events = [item.event for item in items]
        columns.group(
            CLASSES,
            [each.counting.hex_id for each in classes],
            [each.event_type for each in classes],
            [each.provider for each in classes],
            [each.model for each in classes],
            [each.hour for each in classes],
            [each.place.window_start for each in classes],
            [None if each.quote is None else each.quote.source.value for each in classes],
            [None if each.quote is None else each.quote.reference for each in classes],
            [None if each.quote is None else price_ids(each.quote) for each in classes],
        )
        columns.group(
            EVENTS,
            [each.number for each in self._class_of],
            [item.event_id for item in items],
            [item.key_hash for item in items],
            [item.payload_hash for item in items],
            [item.microseconds for item in items],
            [event.key for event in events],
            self._quantities,
            [event.tokens_in for event in events],
            [event.tokens_out for event in events],
            [None if cost is None else f"{cost}e-{COST_SCALE}" for cost in self._costs],
            self._counted,
            [event.cached_tokens or None for event in events],
            [event.cache_write_tokens or None for event in events],
            [event.reasoning_tokens or None for event in events],
            [event.rounds for event in events],
            [event.latency_ms for event in events],
            [event.metadata for event in events],
            [event.raw_usage for event in events],
            [event.agent for event in events],
            [item.api_key_id for item in items],
            [event.debate_id for event in events],
            [event.request_type for event in events],
            [event.user_id for event in events],
            [event.workspace for event in events],
            [None if item.reservation is None else item.reservation.id for item in items],
        )
        hours = self._summed(
            lambda each: (
                each.counting.number,
                each.hour,
                each.event_type,
                each.provider or "",
                each.model or "",
            )
        )
        columns.rows(
            HOURS,
            [(self._organizations[key[0]].hex, *key[1:], *sums.figures()) for key, sums in hours],
        )
        columns.rows(
            DAYS,
            [
                (self._organizations[key[0]].hex, *key[1:], *sums.figures())
                for key, sums in sorted(self._days.items(), key=itemgetter(0))
            ],
        )
        months = self._summed(lambda each: (each.counting.number, month_of(each.hour)))
        debates = self._quantities_of("debate")
        calls = self._quantities_of("api_call")
        columns.rows(
            MONTHS,
            [
                (
                    self._organizations[key[0]].hex,
                    key[1],
                    debates.get(key, 0),
                    calls.get(key, 0),
                    sums.tokens_in + sums.tokens_out,
                    f"{sums.cost}e-{COST_SCALE}",
                    sums.events,
                    sums.tokens_in,
                    sums.tokens_out,
                    sums.unpriced,
                )
                for key, sums in months
            ],
        )
        columns.rows(
            COUNTERS,
            [
                (
                    each.organization_id.hex,
                    each.metric.key,
                    microseconds_of(each.window.start),
                    each.most if each.metric.aggregation in ADDITIVE else None,
                    each.amount,
                )
                for each in self._counters
            ],
        )
        columns.rows(
            ENFORCED,
            [
                (number, None if counter is None else counter.place, amount)
                for number, counter, amount in self._enforced
            ],
        )
        columns.rows(
            OTHERS,
            [
                (number, counter.place, kind, value, most)
                for number, counter, kind, value, most in self._others
            ],
        )
        columns.rows(SPENDERS, spenders_of(items))

    def _summed(self, key_of: Callable[[Class], tuple[Any, ...]]) -> list[tuple[Any, Sums]]:
        """Sums of the classes by that key, sorted by it."""
        found: dict[tuple[Any, ...], Sums] = {}
        for each in self._classes:
            found.setdefault(key_of(each), Sums()).add(each.sums)
        return sorted(found.items(), key=itemgetter(0))

    def _quantities_of(self, event_type: str) -> dict[tuple[int, str], int | Decimal]:
        found: dict[tuple[int, str], int | Decimal] = {}
        for each in self._classes:
            if each.event_type == event_type:
                key = (each.counting.number, month_of(each.hour))
                found[key] = added(found.get(key, 0), each.sums.quantity)
        return found

    def answers(self, row: asyncpg.Record | Mapping[str, Any], meters: Meters) -> Answers:
        used, held = row["used"] or (), row["held"] or ()
        repeated = dict(
            zip(
                row["repeated"],
                zip(row["stored_ids"], row["stored_hashes"], strict=True),
                strict=True,
            )
        )
        denied = set(row["denied"])
        over = refusals_by_event(row["over_limits"])
        quotas = {
            id(counter): Quota(
                counter.metric.key,
                counter.limit.limit,
                counter.limit.policy,
                used[counter.place - 1],
                held[counter.place - 1],
                counter.window,
                counter.metric.aggregation,
            )
            for counter in self._counters
        }
        each: list[Recorded | BillingError] = []
        for number, item in enumerate(self.items, 1):
            place = self._class_of[number - 1].place
            shown = place.shown
            quota = quotas[id(shown)] if shown is not None else without_counter(item, place.window)
            cost = self._costs[number - 1]
            if number in over:
                plan = self._counting[item.organization_id].tenant.plan
                each.append(spending_refusal(over[number], cost, plan, meters))
            elif number in denied:
                plan = self._counting[item.organization_id].tenant.plan
                each.append(quota_refusal(place, item.event, quotas, plan, meters))
            elif number not in repeated:
                each.append(Recorded(item.event_id, False, cost, quota))
            elif repeated[number][1].hex == item.payload_hash:
                # A flush that is sent again after a lost connection finds its own event.
                is_repeat = repeated[number][0].hex != item.event_id
                each.append(Recorded(repeated[number][0], is_repeat, cost, quota))
            else:
                each.append(EventConflict(id=item.event.key))
        return Answers(
            each,
            [
                (counter.organization_id, quotas[id(counter)])
                for counter in self._counters
                if counter.limit.limit is not None
            ],
            places_of(row["news"]),
        )


def without_counter(item: Submission, window: Any) -> Quota:
    """What is shown of an event that counts towards no metric."""
    return Quota(item.meter.metric, None, LimitPolicy.SOFT, _NOTHING, _NOTHING, window)
