"""The shape of a catalog file; Pydantic checks it part by part."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from app.catalog import domain
from app.kernel.entitlements import LimitPolicy

Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Amount = Annotated[Decimal, Field(ge=0, max_digits=26, decimal_places=12)]
Units = Annotated[Decimal, Field(ge=0, max_digits=26, decimal_places=12)]


UniqueField = Literal[
    "user_id", "debate_id", "agent", "workspace", "provider", "model", "request_type"
]
"""What of an event different values can be counted of."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MetricPart(_Part):
    aggregation: domain.Aggregation = domain.Aggregation.SUM
    unit: str
    measure: domain.Measure = domain.Measure.QUANTITY
    event: Key | None = None
    counts: list[Key] | Literal["every_event"] = []
    unique_field: UniqueField | None = None


class TierPart(_Part):
    up_to: Units | None
    unit_amount: Amount = Decimal(0)
    flat_amount: Amount = Decimal(0)


class FlatPart(_Part):
    model: Literal["flat"]
    amount: Amount


class PerUnitPart(_Part):
    model: Literal["per_unit"]
    unit_amount: Amount


class _TieredPart(_Part):
    tiers: Annotated[list[TierPart], Field(min_length=1)]
    flat_at_zero: bool = False

    @field_validator("tiers")
    @classmethod
    def _ascending(cls, tiers: list[TierPart]) -> list[TierPart]:
        if tiers[-1].up_to is not None:
            raise ValueError("the last tier has up_to: null")
        bounds = [tier.up_to for tier in tiers[:-1]]
        if any(bound is None for bound in bounds):
            raise ValueError("only the last tier has up_to: null")
        known = [bound for bound in bounds if bound is not None]
        if any(low >= high for low, high in zip([Decimal(0), *known], known, strict=False)):
            raise ValueError("the tiers' up_to rises from tier to tier")
        return tiers


class GraduatedPart(_TieredPart):
    model: Literal["graduated"]


class VolumePart(_TieredPart):
    model: Literal["volume"]


class PackagePart(_Part):
    model: Literal["package"]
    amount: Amount
    size: Annotated[Decimal, Field(gt=0, max_digits=26, decimal_places=12)]
    free_units: Units = Decimal(0)


class PercentagePart(_Part):
    model: Literal["percentage"]
    rate: Amount
    fixed_per_event: Amount = Decimal(0)
    free_events: Annotated[int, Field(ge=0)] = 0
    free_amount: Amount = Decimal(0)


UsagePricePart = Annotated[
    FlatPart | PerUnitPart | GraduatedPart | VolumePart | PackagePart | PercentagePart,
    Field(discriminator="model"),
]


class PlanPricePart(_Part):
    amount: Annotated[int, Field(ge=0)] | None
    interval: domain.Interval = domain.Interval.MONTH
    stripe_price_id: str | None = None


class _GrownPart(_Part):
    """A part that has learnt new words; unsaid ones are not written down.

    So a catalog that does not use them keeps its content hash, and with it its version.
    """

    @model_serializer(mode="wrap")
    def _without_unsaid(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        return {name: value for name, value in written.items() if value or name not in _NEW_WORDS}


_NEW_WORDS = frozenset(
    {"included", "minimum_spend", "maximum_spend", "dimensions", "commitment", "draws_on_credit"}
)


class DimensionPart(_Part):
    model: Annotated[str, Field(min_length=1, max_length=200)] = "*"
    role: Literal["*", "input", "cache_read", "cache_write", "output"] = "*"
    price: UsagePricePart


class MeteredPart(_GrownPart):
    metric: Key
    price: UsagePricePart | None = None
    stripe_price_id: str | None = None
    included: Units | None = None
    minimum_spend: Amount | None = None
    maximum_spend: Amount | None = None
    dimensions: list[DimensionPart] = []

    @model_validator(mode="after")
    def _words_go_with_a_price(self) -> MeteredPart:
        bounds = (self.minimum_spend, self.maximum_spend)
        if self.price is None and (self.included or self.dimensions or any(bounds)):
            raise ValueError("included, spends and dimensions go with a price")
        if self.included and self.dimensions:
            raise ValueError("included units and dimensions do not go together")
        if None not in bounds and bounds[0] > bounds[1]:  # type: ignore[operator]
            raise ValueError("minimum_spend is not above maximum_spend")
        return self


class LimitPart(_Part):
    limit: Units | None
    policy: LimitPolicy = LimitPolicy.HARD


class PlanPart(_GrownPart):
    key: Key
    name: str
    description: str = ""
    prices: list[PlanPricePart] = []
    seats: Annotated[int, Field(ge=0)] | None
    limits: dict[Key, LimitPart] = {}
    features: list[Key] = []
    metered: list[MeteredPart] = []
    trial_days: Annotated[int, Field(ge=0, le=730)] = 0
    commitment: Amount | None = None
    draws_on_credit: bool = False

    @field_validator("limits", mode="before")
    @classmethod
    def _short_limits(cls, limits: object) -> object:
        if isinstance(limits, dict):
            return {
                key: value if isinstance(value, dict) else {"limit": value}
                for key, value in limits.items()
            }
        return limits

    @model_validator(mode="after")
    def _one_price_an_interval(self) -> PlanPart:
        intervals = [price.interval for price in self.prices]
        if len(set(intervals)) != len(intervals):
            raise ValueError("a plan has one price for each interval")
        return self


class CatalogPart(_Part):
    name: Key
    currency: Annotated[str, Field(pattern=r"^[a-z]{3}$")] = "usd"
    window: domain.QuotaWindow
    default_plan: Key | None = None
    metrics: Annotated[dict[Key, MetricPart], Field(min_length=1)]
    plans: Annotated[list[PlanPart], Field(min_length=1)]
