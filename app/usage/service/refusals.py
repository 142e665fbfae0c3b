"""What a refusal says: how much there is, what is left of it, and which plan would do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.kernel.ids import encode_id
from app.kernel.rates import EXACT, plain
from app.usage.domain import Meters, NewEvent, Quota, amount_of
from app.usage.errors import BudgetExceeded, InsufficientCredits, QuotaExceeded
from app.usage.service.classes import COST_SCALE, Place
from app.usage.spend import CREDIT, SpendScope


def quota_refusal(
    place: Place, event: NewEvent, quotas: Mapping[int, Quota], plan: str, meters: Meters
) -> QuotaExceeded:
    """Names the first limit that the event did not fit under; *quotas* by their counters' `id`."""
    own = [
        (quotas[id(counter)], Decimal(amount_of(counter.metric, event)))
        for counter in (*place.additive, *place.others)
        if counter.most is not None
    ]
    quota, amount = next((pair for pair in own if not pair[0].allows(pair[1])), own[0])
    return quota_exceeded(quota, amount, plan, meters)


def quota_exceeded(quota: Quota, amount: Decimal, plan: str, meters: Meters) -> QuotaExceeded:
    """The refusal that says how much there is, and which plan would do."""
    upgrade = meters.catalog.upgrade_for_quantity(quota.metric, quota.with_more(amount), plan)
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


def refusals_by_event(text: str | None) -> dict[int, Mapping[str, Any]]:
    """What limits on spending refused, as the writing statement says it, by the event's place."""
    return {each["event"]: each for each in json.loads(text or "[]")}


def spending_refusal(
    refusal: Mapping[str, Any], cost: int | None, plan: str, meters: Meters
) -> BudgetExceeded | InsufficientCredits:
    """The refusal that names the budget, or credit, and what is left of it."""
    limit, spent, held = (Decimal(refusal[name]) for name in ("limit", "spent", "held"))
    if refusal["scope"] == CREDIT:
        requested = None if cost is None else EXACT.scaleb(Decimal(cost), -COST_SCALE)
        return insufficient_credits(limit, spent, held, requested, plan, meters)
    subject = refusal["subject"] or None
    if refusal["scope"] == SpendScope.API_KEY and subject is not None:
        subject = encode_id("key", UUID(subject))
    return BudgetExceeded(
        budget_id=encode_id("bud", UUID(refusal["limit_id"])),
        scope=refusal["scope"],
        subject=subject,
        reason=refusal["reason"],
        limit=plain(limit),
        spent=plain(spent),
        held=plain(held),
        remaining=plain(max(limit - spent - held, Decimal(0))),
        requested=None if cost is None else plain(EXACT.scaleb(Decimal(cost), -COST_SCALE)),
    )


def insufficient_credits(
    limit: Decimal,
    used: Decimal,
    held: Decimal,
    requested: Decimal | None,
    plan: str,
    meters: Meters,
) -> InsufficientCredits:
    """The refusal that says how much credit there was to use, and which plan needs none."""
    return InsufficientCredits(
        limit=plain(limit),
        used=plain(used),
        held=plain(held),
        remaining=plain(max(limit - used - held, Decimal(0))),
        requested=None if requested is None else plain(requested),
        upgrade_to=meters.catalog.upgrade_beyond_credit(plan),
    )


def _number(value: Decimal | None) -> int | str | None:
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else plain(value)
