"""What a refusal says: how much there is, what is left of it, and which plan would do."""

from __future__ import annotations

from decimal import Decimal

from app.kernel.rates import plain
from app.usage.domain import Meters, Quota
from app.usage.errors import QuotaExceeded


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


def _number(value: Decimal | None) -> int | str | None:
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else plain(value)
