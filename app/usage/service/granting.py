"""One granting of reservations: the arguments of the statement, and what it gave back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg

from app.catalog.domain import Metric
from app.infra.http.idempotency import IdempotencyKeyReused
from app.kernel.entitlements import LimitPolicy, MetricLimit
from app.kernel.errors import BillingError
from app.kernel.ids import OrganizationId, encode_id
from app.kernel.periods import Period
from app.kernel.rates import plain
from app.usage.ddl.reserve import MAX_DEPTH
from app.usage.domain import Meter, Meters, Quota
from app.usage.errors import (
    BudgetExceeded,
    EnvelopeExceeded,
    ParentOver,
    ReservationNotFound,
    ReservationsTooDeep,
)
from app.usage.holding import COST, Caller, Held, NewReservation, amounts_to_hold
from app.usage.service.refusals import insufficient_credits, quota_exceeded
from app.usage.service.tenants import Tenant, Tenants

_UNLIMITED = MetricLimit(None, LimitPolicy.SOFT)


@dataclass(slots=True)
class Request:
    """A reservation on its way to the database. Its id is made once, so sent again it is found."""

    organization_id: OrganizationId
    id: UUID
    asked: NewReservation
    meter: Meter | None
    cost_usd: Decimal | None
    caller: Caller


@dataclass(frozen=True, slots=True)
class Grant:
    """A reservation that was granted, now or when the same key came first."""

    held: Held
    is_repeat: bool


@dataclass(slots=True)
class _Counter:
    organization_id: OrganizationId
    metric: Metric
    window: Period
    limit: MetricLimit
    place: int = 0


class Granting:
    """What one call grants. Requests that carry the same key are one."""

    def __init__(
        self,
        items: Sequence[Request],
        organizations: Sequence[OrganizationId],
        tenants: Tenants,
        price_version: int,
        now: datetime,
    ) -> None:
        self._items = items
        self._organizations = organizations
        self._version = price_version
        self._now = now
        self._tenants: dict[OrganizationId, Tenant] = {}
        for organization_id in organizations:
            tenant = tenants.known(organization_id)
            if tenant is None:
                raise LookupError(f"organization {organization_id} was not read")
            self._tenants[organization_id] = tenant
        self._sent: list[Request] = []
        self._place_of: list[int] = []
        first: dict[tuple[OrganizationId, UUID], int] = {}
        for item in items:
            key = (item.organization_id, item.asked.key or item.id)
            if key not in first:
                first[key] = len(self._sent)
                self._sent.append(item)
            self._place_of.append(first[key])
        self._counters: list[_Counter] = []
        self._holds: list[tuple[int, _Counter, Decimal]] = []
        self._count()

    def _count(self) -> None:
        found: dict[tuple[bytes, str], _Counter] = {}
        for number, item in enumerate(self._sent, 1):
            if item.meter is None:
                continue
            tenant = self._tenants[item.organization_id]
            for metric, amount in amounts_to_hold(item.meter, item.asked):
                limit = tenant.limits.get(metric.key, _UNLIMITED)
                if limit.limit is None:
                    continue
                key = (item.organization_id.bytes, metric.key)
                counter = found.get(key)
                if counter is None:
                    window = tenant.windows.at(self._now)
                    counter = found[key] = _Counter(item.organization_id, metric, window, limit)
                self._holds.append((number, counter, amount))
        # Everybody locks counters in this order.
        self._counters = [found[key] for key in sorted(found)]
        for place, counter in enumerate(self._counters, 1):
            counter.place = place

    def arguments(self) -> list[Any]:
        sent, counters, now = self._sent, self._counters, self._now
        asked = [item.asked for item in sent]
        labels = [each.labels for each in asked]
        tenants = [self._tenants[item.organization_id] for item in sent]
        return [
            self._organizations,
            [self._tenants[each].stamp for each in self._organizations],
            self._version,
            now,
            [item.organization_id for item in sent],
            [item.id for item in sent],
            [each.key for each in asked],
            [each.digest for each in asked],
            [each.parent_id for each in asked],
            [None if item.meter is None else item.meter.metric for item in sent],
            [None if item.cost_usd is None else str(item.cost_usd) for item in sent],
            [tenant.windows.at(now).start for tenant in tenants],
            [now + each.ttl for each in asked],
            [each.workspace for each in labels],
            [each.user_id for each in labels],
            [item.caller.api_key_id for item in sent],
            [each.debate_id for each in labels],
            [each.agent for each in labels],
            [each.provider for each in labels],
            [each.model for each in labels],
            [item.caller.user_id for item in sent],
            [item.caller.may_exceed for item in sent],
            [counter.organization_id for counter in counters],
            [counter.metric.key for counter in counters],
            [counter.window.start for counter in counters],
            [
                str(counter.limit.limit) if counter.limit.policy is LimitPolicy.HARD else None
                for counter in counters
            ],
            [number for number, _, _ in self._holds],
            [counter.place for _, counter, _ in self._holds],
            [str(amount) for _, _, amount in self._holds],
        ]

    def answers(self, row: asyncpg.Record, meters: Meters) -> list[Grant | BillingError]:
        each: list[Grant | BillingError] = []
        for item, place in zip(self._items, self._place_of, strict=True):
            sent = self._sent[place]
            outcome, stored = row["outcome"][place], row["stored"][place]
            if outcome in ("granted", "repeated"):
                # Two requests with one key in one call: both have the same answer, or the key
                # was used for two different things.
                if item.asked.digest == stored["request_hash"]:
                    each.append(Grant(Held.of(stored.__getitem__), stored["id"] != item.id))
                else:
                    each.append(IdempotencyKeyReused())
            else:
                each.append(self._refusal(outcome, sent, row["refused"][place], meters))
        return each

    def _refusal(
        self, outcome: str, item: Request, why: str | None, meters: Meters
    ) -> BillingError:
        found: dict[str, Any] = json.loads(why) if why else {}
        match outcome:
            case "reused":
                return IdempotencyKeyReused()
            case "no_parent":
                return ReservationNotFound()
            case "parent_over":
                state = found["state"]
                return ParentOver(state="overdue" if state == "held" else state)
            case "too_deep":
                return ReservationsTooDeep(depth=MAX_DEPTH)
        figures = {
            name: Decimal(found[name])
            for name in ("limit", "left", "used", "spent", "held", "requested")
            if name in found
        }
        match found["by"]:
            case "reservation":
                return EnvelopeExceeded(
                    scope="reservation",
                    parent_id=encode_id("res", item.asked.parent_id or item.id),
                    metric="USD" if found["name"] == COST else found["name"],
                    limit=plain(figures["limit"]),
                    remaining=plain(figures["left"]),
                    requested=plain(figures["requested"]),
                )
            case "budget":
                spent = figures["spent"] + figures["held"]
                return BudgetExceeded(
                    budget_id=encode_id("bud", UUID(found["id"])),
                    scope=found["scope"],
                    subject=found["subject"],
                    reason=found["reason"],
                    limit=plain(figures["limit"]),
                    spent=plain(figures["spent"]),
                    held=plain(figures["held"]),
                    remaining=plain(max(figures["limit"] - spent, Decimal(0))),
                    requested=plain(figures["requested"]),
                )
        plan = self._tenants[item.organization_id].plan
        if found["by"] == "credit":
            return insufficient_credits(
                figures["limit"],
                figures["spent"],
                figures["held"],
                figures["requested"],
                plan,
                meters,
            )
        counter = self._counters[found["counter"] - 1]
        quota = Quota(
            counter.metric.key,
            counter.limit.limit,
            counter.limit.policy,
            figures["used"],
            figures["held"],
            counter.window,
        )
        return quota_exceeded(quota, figures["requested"], plan, meters)
