"""Usage on the wire."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field

from app.infra.http.schemas import DecimalString, InputModel, Instant, OutputModel, prefixed_id
from app.kernel.entitlements import LimitPolicy
from app.kernel.periods import Period
from app.kernel.rates import plain
from app.usage.domain import Credits, Dashboard, Figures, Point, Quota, Summary
from app.usage.models import UsageEvent

if TYPE_CHECKING:
    EventId = UUID
    PriceId = UUID
else:
    EventId = prefixed_id("evt")
    PriceId = prefixed_id("prc")


def whole_or_text(value: object) -> object:
    """A quantity as JSON: a whole number, or a decimal string where it is not whole."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else plain(value)
    return value


Quantity = Annotated[int | str, BeforeValidator(whole_or_text)]


class QuotaOut(OutputModel):
    """Where a metric stands in the current window; `null` is unlimited."""

    metric: str
    limit: Quantity | None
    used: Quantity
    held: Quantity
    remaining: Quantity | None
    resets_at: Instant
    policy: LimitPolicy

    @classmethod
    def from_domain(cls, quota: Quota) -> QuotaOut:
        return cls(
            metric=quota.metric,
            limit=quota.limit,
            used=quota.used,
            held=quota.held,
            remaining=quota.remaining,
            resets_at=quota.window.end,
            policy=quota.policy,
        )


class QuotasOut(OutputModel):
    data: list[QuotaOut]


class RecordedOut(OutputModel):
    """What became of one event."""

    id: str = Field(description="The caller's id of the event.")
    event_id: EventId
    status: Literal["recorded", "duplicate"]
    cost_usd: DecimalString | None = Field(description="Exact; null where there is no price yet.")
    priced: bool
    quota: QuotaOut


class RowErrorOut(OutputModel):
    code: str
    detail: str


class RowOut(OutputModel):
    id: str | None
    status: Literal["recorded", "duplicate", "error"]
    error: RowErrorOut | None = None


class BatchOut(OutputModel):
    """What became of each event, in the order they were sent."""

    recorded: int
    duplicates: int
    errors: int
    results: list[RowOut]


class UsageEventOut(OutputModel):
    """An event as it was recorded."""

    id: str = Field(description="The caller's id.")
    event_id: EventId
    type: str
    quantity: Quantity
    occurred_at: Instant
    received_at: Instant
    provider: str | None
    model: str | None
    tokens_in: int
    tokens_out: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_usd: DecimalString | None
    priced: bool
    price_source: str | None
    price_reference: str | None
    price_ids: list[PriceId]
    debate_id: str | None
    agent: str | None
    workspace: str | None
    user_id: str | None
    request_type: str | None
    rounds: int | None
    latency_ms: DecimalString | None
    metadata: dict[str, Any] | None
    raw_usage: dict[str, Any] | list[dict[str, Any]] | None
    voided_at: Instant | None
    void_reason: str | None

    @classmethod
    def from_domain(cls, event: UsageEvent) -> UsageEventOut:
        return cls(
            id=event.event_key,
            event_id=event.id,
            type=event.event_type,
            quantity=event.quantity,
            occurred_at=event.occurred_at,
            received_at=event.created_at,
            provider=event.provider,
            model=event.model,
            tokens_in=event.tokens_in,
            tokens_out=event.tokens_out,
            cached_tokens=event.cached_tokens,
            cache_write_tokens=event.cache_write_tokens,
            reasoning_tokens=event.reasoning_tokens,
            cost_usd=event.cost_usd,
            priced=event.cost_usd is not None,
            price_source=event.price_source,
            price_reference=event.price_reference,
            price_ids=list(event.price_ids or ()),
            debate_id=event.debate_id,
            agent=event.agent,
            workspace=event.workspace,
            user_id=event.user_id,
            request_type=event.request_type,
            rounds=event.rounds,
            latency_ms=event.latency_ms,
            metadata=event.event_metadata,
            raw_usage=event.raw_usage,
            voided_at=event.voided_at,
            void_reason=event.void_reason,
        )


class VoidIn(InputModel):
    reason: Annotated[str, Field(min_length=1, max_length=500)]


class CheckIn(InputModel):
    """What somebody is about to use."""

    metric: Annotated[str, Field(min_length=1, max_length=200)]
    quantity: Annotated[Decimal, Field(ge=0, le=10**15, decimal_places=12)] = Decimal(1)


class CheckOut(OutputModel):
    """Advice: others may use it meanwhile. Only `enforce=true` or a reservation is a promise."""

    allowed: bool
    metric: str
    limit: Quantity | None
    used: Quantity
    held: Quantity
    remaining: Quantity | None
    reason: str | None
    is_advice: bool

    @classmethod
    def from_domain(cls, quota: Quota, quantity: Decimal) -> CheckOut:
        allowed = quota.allows(quantity)
        return cls(
            allowed=allowed,
            metric=quota.metric,
            limit=quota.limit,
            used=quota.used,
            held=quota.held,
            remaining=quota.remaining,
            reason=None if allowed else "quota_exceeded",
            is_advice=True,
        )


class PeriodOut(OutputModel):
    start: Instant
    end: Instant

    @classmethod
    def from_domain(cls, period: Period) -> PeriodOut:
        return cls(start=period.start, end=period.end)


class FiguresOut(OutputModel):
    """Sums over events."""

    events: int
    quantity: Quantity
    tokens_in: int
    tokens_out: int
    total_tokens: int
    cached_tokens: int
    cost_usd: DecimalString | None = Field(description="Null where nothing has a price yet.")
    unpriced_events: int

    @classmethod
    def from_domain(cls, figures: Figures) -> FiguresOut:
        return cls(
            events=figures.events,
            quantity=figures.quantity,
            tokens_in=figures.tokens_in,
            tokens_out=figures.tokens_out,
            total_tokens=figures.total_tokens,
            cached_tokens=figures.cached_tokens,
            cost_usd=figures.known_cost,
            unpriced_events=figures.unpriced,
        )


class SummaryOut(OutputModel):
    """What was used in a period. Costs of unpriced events are missing until they have a price."""

    period: PeriodOut
    total_events: int
    total_debates: Quantity
    total_api_calls: Quantity
    total_tokens: int
    tokens_in: int
    tokens_out: int
    cached_tokens: int
    total_cost_usd: DecimalString
    unpriced_events: int
    by_type: dict[str, FiguresOut]
    by_provider: dict[str, FiguresOut]
    by_model: dict[str, FiguresOut]

    @classmethod
    def from_domain(cls, summary: Summary) -> SummaryOut:
        none = Figures()
        return cls(
            period=PeriodOut.from_domain(summary.period),
            total_events=summary.total.events,
            total_debates=summary.by_type.get("debate", none).quantity,
            total_api_calls=summary.by_type.get("api_call", none).quantity,
            total_tokens=summary.total.total_tokens,
            tokens_in=summary.total.tokens_in,
            tokens_out=summary.total.tokens_out,
            cached_tokens=summary.total.cached_tokens,
            total_cost_usd=summary.total.cost_usd,
            unpriced_events=summary.total.unpriced,
            by_type=_shown(summary.by_type),
            by_provider=_shown(summary.by_provider),
            by_model=_shown(summary.by_model),
        )


def _shown(sums: Any) -> dict[str, FiguresOut]:
    return {name: FiguresOut.from_domain(figures) for name, figures in sums.items()}


class PointOut(OutputModel):
    start: Instant
    group: str | None
    figures: FiguresOut

    @classmethod
    def from_domain(cls, point: Point) -> PointOut:
        return cls(
            start=point.start, group=point.group, figures=FiguresOut.from_domain(point.figures)
        )


class TimeseriesOut(OutputModel):
    period: PeriodOut
    granularity: str
    group_by: str | None
    data: list[PointOut]

    @classmethod
    def from_domain(
        cls, period: Period, points: list[Point], granularity: str, group_by: str | None
    ) -> TimeseriesOut:
        return cls(
            period=PeriodOut.from_domain(period),
            granularity=granularity,
            group_by=group_by,
            data=[PointOut.from_domain(point) for point in points],
        )


class IncludedCreditsOut(OutputModel):
    included: Quantity | None
    used: Quantity
    remaining: Quantity | None
    overage: Quantity
    overage_cost: DecimalString
    price_per_1k: DecimalString | None

    @classmethod
    def from_domain(cls, found: Credits) -> IncludedCreditsOut:
        return cls.model_validate(found)


class UsageByTypeOut(OutputModel):
    today: dict[str, Quantity]
    month: dict[str, Quantity]


class DashboardOut(OutputModel):
    """What a customer's dashboard shows; `credits` is null in catalogs without credits."""

    tier: str
    period: PeriodOut
    usage: UsageByTypeOut
    metrics: list[QuotaOut]
    credits: IncludedCreditsOut | None

    @classmethod
    def from_domain(cls, found: Dashboard) -> DashboardOut:
        return cls(
            tier=found.tier,
            period=PeriodOut.from_domain(found.period),
            usage=UsageByTypeOut(today=dict(found.today), month=dict(found.month)),
            metrics=[QuotaOut.from_domain(quota) for quota in found.quotas],
            credits=IncludedCreditsOut.from_domain(found.credits) if found.credits else None,
        )


class EntitlementOut(OutputModel):
    """Whether the plan has a feature, and the lowest plan that would."""

    feature: str
    allowed: bool
    plan: str
    upgrade_to: str | None


def rfc3339(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")
