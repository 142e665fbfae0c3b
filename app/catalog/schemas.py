"""The catalog on the wire."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from pydantic import BeforeValidator, Field

from app.catalog.domain import (
    Catalog,
    DimensionPrice,
    MeteredPrice,
    Metric,
    Plan,
    PlanPrice,
    UsagePrice,
)
from app.infra.http.schemas import DecimalString, OutputModel, prefixed_id
from app.kernel.entitlements import LimitPolicy
from app.kernel.rates import plain

if TYPE_CHECKING:
    CatalogVersionId = UUID
else:
    CatalogVersionId = prefixed_id("cat")


class PlanPriceOut(OutputModel):
    """A plan's fee; `amount` in minor units, null where only Stripe knows it."""

    amount: int | None
    currency: str | None
    interval: str
    is_purchasable: bool

    @classmethod
    def from_domain(cls, price: PlanPrice) -> PlanPriceOut:
        return cls(
            amount=price.money.minor if price.money else None,
            currency=price.money.currency if price.money else None,
            interval=price.interval,
            is_purchasable=price.stripe_price_id is not None,
        )


def _whole_or_text(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else plain(value)
    return value


Quantity = Annotated[int | str, BeforeValidator(_whole_or_text)]


class TierOut(OutputModel):
    up_to: DecimalString | None
    unit_amount: DecimalString
    flat_amount: DecimalString


class UsagePriceOut(OutputModel):
    """How use is rated: the model and its figures, in units of the currency."""

    model: str
    tiers: list[TierOut]
    figures: dict[str, DecimalString]

    @classmethod
    def from_domain(cls, price: UsagePrice) -> UsagePriceOut:
        values = {name: getattr(price, name) for name in price.__dataclass_fields__}
        model = type(price).__name__.removesuffix("Price")
        return cls(
            model={"PerUnit": "per_unit"}.get(model, model.lower()),
            tiers=[TierOut.model_validate(tier) for tier in values.pop("tiers", ())],
            figures={
                name: Decimal(value)
                for name, value in values.items()
                if isinstance(value, Decimal | int) and not isinstance(value, bool)
            },
        )


class DimensionPriceOut(OutputModel):
    """A closer price for one model and token role; `*` is any."""

    model: str
    role: str
    price: UsagePriceOut

    @classmethod
    def from_domain(cls, dimension: DimensionPrice) -> DimensionPriceOut:
        return cls(
            model=dimension.model,
            role=dimension.role,
            price=UsagePriceOut.from_domain(dimension.price),
        )


class MeteredPriceOut(OutputModel):
    """What use of a metric costs; price null where Stripe's own price decides."""

    metric: str
    price: UsagePriceOut | None
    included: Quantity
    minimum_spend: DecimalString | None
    maximum_spend: DecimalString | None
    dimensions: list[DimensionPriceOut]

    @classmethod
    def from_domain(cls, metered: MeteredPrice) -> MeteredPriceOut:
        return cls(
            metric=metered.metric,
            price=UsagePriceOut.from_domain(metered.price) if metered.price else None,
            included=metered.included,
            minimum_spend=metered.minimum_spend,
            maximum_spend=metered.maximum_spend,
            dimensions=[DimensionPriceOut.from_domain(one) for one in metered.dimensions],
        )


class PlanOut(OutputModel):
    key: str
    name: str
    description: str
    rank: int
    prices: list[PlanPriceOut]
    seats: int | None
    limits: dict[str, Quantity | None] = Field(
        description="By metric; `null` is unlimited, `0` is none.", examples=[{"debates": 200}]
    )
    limit_policies: dict[str, LimitPolicy] = Field(
        description="By metric: `hard` refuses, `soft` warns, `overage` charges."
    )
    features: list[str]
    metered: list[MeteredPriceOut]
    commitment: DecimalString | None
    draws_on_credit: bool = Field(
        description="Whether calls to models are paid from prepaid credit, and refused beyond it."
    )
    trial_days: int

    @classmethod
    def from_domain(cls, plan: Plan) -> PlanOut:
        return cls(
            key=plan.key,
            name=plan.name,
            description=plan.description,
            rank=plan.rank,
            prices=[PlanPriceOut.from_domain(price) for price in plan.prices],
            seats=plan.seat_limit,
            limits={key: item.limit for key, item in plan.limits.items()},
            limit_policies={key: item.policy for key, item in plan.limits.items()},
            features=sorted(plan.features),
            metered=[MeteredPriceOut.from_domain(item) for item in plan.metered],
            commitment=plan.commitment,
            draws_on_credit=plan.draws_on_credit,
            trial_days=plan.trial_days,
        )


class MetricOut(OutputModel):
    """Something that is counted; `event_type` is what usage events call it."""

    key: str
    aggregation: str
    unit: str
    event_type: str

    @classmethod
    def from_domain(cls, metric: Metric) -> MetricOut:
        return cls(
            key=metric.key,
            aggregation=metric.aggregation,
            unit=metric.unit,
            event_type=metric.event_type or metric.key,
        )


class CatalogOut(OutputModel):
    """The active catalog."""

    version: CatalogVersionId
    name: str
    window: str
    default_plan: str | None
    metrics: list[MetricOut]
    plans: list[PlanOut]

    @classmethod
    def from_domain(cls, catalog: Catalog) -> CatalogOut:
        version: UUID = catalog.id
        return cls(
            version=version,
            name=catalog.name,
            window=catalog.window,
            default_plan=catalog.default_plan_key,
            metrics=[MetricOut.from_domain(metric) for metric in catalog.metrics.values()],
            plans=[PlanOut.from_domain(plan) for plan in catalog.plans],
        )
