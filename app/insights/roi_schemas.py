"""Return on investment on the wire: US dollars and hours as decimal strings."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Annotated, Self

from pydantic import Field, model_validator

from app.infra.http.schemas import DecimalString, InputModel, Instant, InstantIn, OutputModel
from app.insights.roi import Effort, Roi, Sides

FORMULA = (
    "manual = debates x people_per_decision x hours_per_decision x hourly_cost_usd; "
    "debate = usage_cost_usd + subscription_cost_usd "
    "+ debates x review_hours_per_debate x hourly_cost_usd; "
    "saved = manual - debate; roi_percent = saved / debate x 100; "
    "payback_debates = subscription_cost_usd / (saved_usd per debate before the subscription)"
)

Dollars = Annotated[Decimal, Field(ge=0, le=10**9, decimal_places=12)]
Hours = Annotated[Decimal, Field(ge=0, le=10_000, decimal_places=6)]


class RoiIn(InputModel):
    """What deciding by hand takes. What was done is read from your usage unless given."""

    since: InstantIn | None = Field(
        default=None, description="Without: the start of the current window."
    )
    until: InstantIn | None = Field(
        default=None, description="Not included; without: the end of the current window."
    )
    debates: Annotated[int, Field(ge=0, le=10**9)] | None = None
    usage_cost_usd: Dollars | None = None
    subscription_cost_usd: Dollars | None = Field(
        default=None,
        description="Without: your plan's fee for the months from `since` to `until`. A window of"
        " the plan is exactly one month, or a year's fee where it is a year; of a month that is not"
        " whole it is the part by the second. A plan that an operator gave has no fee here: say it.",
    )
    people_per_decision: Annotated[Decimal, Field(gt=0, le=1000, decimal_places=6)] = Decimal(3)
    hours_per_decision: Hours = Decimal(2)
    hourly_cost_usd: Dollars = Decimal(75)
    review_hours_per_debate: Hours = Decimal("0.25")

    @model_validator(mode="after")
    def _is_forward(self) -> Self:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("since lies before until")
        return self

    def to_effort(self) -> Effort:
        return Effort(
            self.people_per_decision,
            self.hours_per_decision,
            self.hourly_cost_usd,
            self.review_hours_per_debate,
        )


class SidesOut(OutputModel):
    """By hand, by debate, and the difference."""

    manual_cost_usd: DecimalString
    debate_cost_usd: DecimalString
    saved_usd: DecimalString
    manual_hours: DecimalString
    debate_hours: DecimalString
    saved_hours: DecimalString
    roi_percent: DecimalString | None

    @classmethod
    def of(cls, sides: Sides) -> SidesOut:
        return cls(
            manual_cost_usd=short(sides.manual_cost),
            debate_cost_usd=short(sides.debate_cost),
            saved_usd=short(sides.saved_cost),
            manual_hours=short(sides.manual_hours),
            debate_hours=short(sides.debate_hours),
            saved_hours=short(sides.saved_hours),
            roi_percent=None if sides.roi_percent is None else short(sides.roi_percent),
        )


class RoiInputsOut(OutputModel):
    """The figures that went in, yours and ours."""

    since: Instant
    until: Instant
    debates: int
    usage_cost_usd: DecimalString
    subscription_cost_usd: DecimalString
    unpriced_events: int
    people_per_decision: DecimalString
    hours_per_decision: DecimalString
    hourly_cost_usd: DecimalString
    review_hours_per_debate: DecimalString


class RoiOut(OutputModel):
    """What debates saved, in all and each, and when the subscription has paid for itself."""

    period: SidesOut
    per_debate: SidesOut | None
    payback_debates: DecimalString | None
    payback_days: DecimalString | None
    inputs: RoiInputsOut
    formula: str

    @classmethod
    def of(cls, found: Roi, inputs: RoiInputsOut) -> RoiOut:
        return cls(
            period=SidesOut.of(found.total),
            per_debate=SidesOut.of(found.per_debate) if found.per_debate else None,
            payback_debates=_or_none(found.payback_debates),
            payback_days=_or_none(found.payback_days),
            inputs=inputs,
            formula=FORMULA,
        )


def _or_none(value: Decimal | None) -> Decimal | None:
    return None if value is None else short(value)


def short(value: Decimal) -> Decimal:
    """To six decimal places: an estimate does not need more."""
    # What every input may be at most comes to more digits than the usual context has.
    with localcontext(prec=80):
        return value.quantize(Decimal("0.000001"), rounding=ROUND_HALF_UP)
