"""The catalog on the wire."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from app.catalog.domain import Catalog, MeteredPrice, Metric, Plan, PlanPrice, UsagePrice
from app.infra.http.schemas import DecimalString, OutputModel, prefixed_id
from app.kernel.entitlements import LimitPolicy, MetricLimit

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


class LimitOut(OutputModel):
    """How much of a metric a window includes; null is unlimited, 0 is none."""

    metric: str
    limit: DecimalString | None
    policy: LimitPolicy

    @classmethod
    def from_domain(cls, metric: str, limit: MetricLimit) -> LimitOut:
        return cls(metric=metric, limit=limit.limit, policy=limit.policy)


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


class MeteredPriceOut(OutputModel):
    """What use of a metric costs; price null where Stripe's own price decides."""

    metric: str
    price: UsagePriceOut | None

    @classmethod
    def from_domain(cls, metered: MeteredPrice) -> MeteredPriceOut:
        return cls(
            metric=metered.metric,
            price=UsagePriceOut.from_domain(metered.price) if metered.price else None,
        )


class PlanOut(OutputModel):
    key: str
    name: str
    description: str
    rank: int
    prices: list[PlanPriceOut]
    seats: int | None
    limits: dict[str, LimitOut]
    features: list[str]
    metered: list[MeteredPriceOut]
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
            limits={key: LimitOut.from_domain(key, limit) for key, limit in plan.limits.items()},
            features=sorted(plan.features),
            metered=[MeteredPriceOut.from_domain(item) for item in plan.metered],
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
