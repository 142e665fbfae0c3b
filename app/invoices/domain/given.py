"""What a plan that was given asks for: its fee by the second, and its use (decision 0915)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal, localcontext

from app.catalog.domain import PerUnitPrice, Plan
from app.invoices.domain.charging import Charge, fee_of
from app.kernel.periods import Period, calendar_month, plus_months
from app.kernel.rates import EXACT
from app.subscriptions.given import GivenBilling, Stretch

_PLACES = Decimal("1e-12")


@dataclass(frozen=True, slots=True)
class GivenPart:
    """What of a window a given plan counted for, and for what of it a fee is due to us."""

    stretch: Stretch
    used: Period
    paid: tuple[Period, ...]

    @property
    def bills_fee(self) -> bool:
        return self.stretch.fee is GivenBilling.INVOICE and bool(self.paid)

    @property
    def bills_usage(self) -> bool:
        return self.stretch.usage is GivenBilling.INVOICE


def whole_of(window: Period) -> Period:
    """The period that a month's fee is for: the calendar month where the window lies in one."""
    month = calendar_month(window.start)
    if window.end <= month.end:
        return month
    return Period(window.start, plus_months(window.start, 1))


def digest_of(parts: Sequence[GivenPart]) -> str:
    """Changes when what was given in a window does; empty where nothing was."""
    if not parts:
        return ""
    told = [(one.stretch.id, one.bills_fee, one.bills_usage, one.used, one.paid) for one in parts]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def given_fees(part: GivenPart, plan: Plan, window: Period) -> list[Charge]:
    """A line for each stretch of time for which a fee is due."""
    if not part.bills_fee:
        return []
    return [
        charge
        for number, period in enumerate(part.paid)
        for charge in fee_of(
            plan, period, whole_of(window), f"given:{part.stretch.id}:fee:{number}"
        )
    ]


def as_ours(plan: Plan, used: Sequence[Period], window: Period) -> Plan:
    """A given plan for the time that it was used in, as we bill what it meters.

    Stripe bills none of it. A metric without a price of ours is listed, and asks for nothing;
    tokens without one cost what their provider charges. What is included is included in full, as
    the limits are that come with the plan; what is asked for at least is so by the second.
    """
    whole, seconds = whole_of(window).seconds, sum(each.seconds for each in used)

    def share(amount: Decimal | None) -> Decimal | None:
        if amount is None or seconds >= whole:
            return amount
        with localcontext(EXACT):
            return (amount * seconds / whole).quantize(_PLACES, ROUND_HALF_UP)

    tokens = [item for item in plan.metered if item.metric.startswith("tokens")]
    at_cost = {item.metric for item in tokens if all(one.price is None for one in tokens)}
    metered = tuple(
        replace(
            item,
            stripe_price_id=None,
            price=item.price if item.metric in at_cost else item.price or PerUnitPrice(Decimal(0)),
            minimum_spend=share(item.minimum_spend),
        )
        for item in plan.metered
    )
    return replace(plan, commitment=share(plan.commitment), metered=metered)
