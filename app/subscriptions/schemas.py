"""Subscriptions on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from app.infra.http.schemas import InputModel, Instant, InstantIn, OutputModel, prefixed_id
from app.subscriptions.domain import (
    ChangeOutcome,
    ChangePreview,
    ChangeResult,
    CheckoutLink,
    CheckoutRequest,
    Direction,
    PauseKind,
    PaymentMethod,
    PaymentState,
    PendingReason,
    PreviewLine,
    SubscriptionView,
    VisitStatus,
)
from app.subscriptions.given import GivenBilling

MAX_TRIAL_DAYS = 30
"""Longer trials are given by an operator, not taken by a customer."""
MAX_METADATA_KEYS = 40
"""Stripe takes fifty; some are ours."""
_MAX_URL_LENGTH = 2000


def _web_address(value: str) -> str:
    """Absolute and http(s); anything else in a redirect is somebody's trick."""
    if not value.isprintable() or any(mark in value for mark in ' \\<>"'):
        raise ValueError("an address has no spaces, quotes or backslashes")
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("an absolute http or https address") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError("an absolute http or https address")
    return value


WebAddress = Annotated[
    str,
    Field(min_length=1, max_length=_MAX_URL_LENGTH),
    AfterValidator(_web_address),
    WithJsonSchema({"type": "string", "format": "uri", "maxLength": _MAX_URL_LENGTH}),
]
PlanKey = Annotated[str, Field(min_length=1, max_length=64, examples=["professional"])]
IntervalIn = Literal["month", "year"]
MetadataKey = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[^\[\]]+$")]
MetadataValue = Annotated[str, Field(max_length=500)]


class CheckoutIn(InputModel):
    """What to buy, and where to return to. `tier` is another name for `plan`."""

    plan: PlanKey | None = None
    tier: PlanKey | None = None
    interval: IntervalIn = "month"
    success_url: WebAddress
    cancel_url: WebAddress
    trial_days: Annotated[int, Field(ge=0, le=MAX_TRIAL_DAYS)] | None = None
    promo_code: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=MAX_METADATA_KEYS)] = (
        Field(default_factory=dict)
    )

    @model_validator(mode="after")
    def _one_plan(self) -> Self:
        if (self.plan is None) == (self.tier is None):
            raise ValueError("say the plan once, as plan or as tier")
        return self

    def to_domain(self) -> CheckoutRequest:
        return CheckoutRequest(
            plan=self.plan or self.tier or "",
            interval=self.interval,
            success_url=self.success_url,
            cancel_url=self.cancel_url,
            trial_days=self.trial_days,
            promo_code=self.promo_code,
            metadata=self.metadata,
        )


class CheckoutOut(OutputModel):
    """A page to send the customer to. Access follows the payment, not the return from it."""

    id: str
    url: str
    expires_at: Instant

    @classmethod
    def from_domain(cls, link: CheckoutLink) -> CheckoutOut:
        return cls(id=link.id, url=link.url, expires_at=link.expires_at)


class CheckoutStatusOut(OutputModel):
    """How a page stands. `processing`: completed, and its news or its money is on its way.

    `is_active` says whether what was bought is in force; poll until it is, or the status ends.
    """

    id: str
    status: VisitStatus
    plan: str
    interval: str
    is_active: bool


class ManualPlanIn(InputModel):
    """The plan to give, why, and until when.

    `billing` says whether its fee is on an invoice of ours, by the second, or `free`;
    `usage_billing` the same of what the plan meters (without it, as `billing`).
    """

    plan: PlanKey
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    ends_at: InstantIn
    billing: GivenBilling = GivenBilling.INVOICE
    usage_billing: GivenBilling | None = None


class WithdrawalIn(InputModel):
    reason: Annotated[str, Field(min_length=1, max_length=500)]


class ManualPlanOut(OutputModel):
    """A plan that was given. `tier` is what is granted: the higher of it and what is bought."""

    plan: str
    tier: str
    reason: str
    granted_by: prefixed_id("usr")  # type: ignore[valid-type]
    granted_at: Instant
    ends_at: Instant
    billing: GivenBilling
    usage_billing: GivenBilling


class PortalIn(InputModel):
    return_url: WebAddress


class PortalOut(OutputModel):
    url: str


class ChangeIn(InputModel):
    """The plan to move to; without an interval the present one stays."""

    plan: PlanKey
    interval: IntervalIn | None = None


class CancelIn(InputModel):
    at_period_end: bool = True
    reason: Annotated[str, Field(max_length=500)] | None = None


class PendingChangeOut(OutputModel):
    """A change to come; `payment` waits for one, and lapses at `effective_at`."""

    plan: str
    interval: str | None
    effective_at: Instant | None
    reason: PendingReason


class PauseOut(OutputModel):
    """What rests, why, and until when; `collection` rests only the invoices."""

    kind: PauseKind
    reason: str | None
    resumes_at: Instant | None


class SubscriptionOut(OutputModel):
    """What an organization holds. `tier` is what is granted now, `plan` what was bought."""

    tier: str
    plan: str
    status: str
    current_period_start: Instant | None
    current_period_end: Instant | None
    cancel_at_period_end: bool
    cancel_at: Instant | None
    trial_end: Instant | None
    amount: int | None
    currency: str | None
    interval: str | None
    payment_state: PaymentState
    grace_until: Instant | None
    pending_change: PendingChangeOut | None
    pause: PauseOut | None
    pay_url: str | None
    features: list[str]


class ChangeOut(SubscriptionOut):
    """The subscription after a change, and what became of the change."""

    outcome: ChangeOutcome
    effective_at: Instant | None

    @classmethod
    def of(cls, result: ChangeResult, view: SubscriptionView) -> ChangeOut:
        return cls(**_fields(view), outcome=result.outcome, effective_at=result.effective_at)


class PreviewLineOut(OutputModel):
    description: str
    amount: int
    currency: str
    period_start: Instant | None
    period_end: Instant | None
    proration: bool

    @classmethod
    def from_domain(cls, line: PreviewLine) -> PreviewLineOut:
        return cls(
            description=line.description,
            amount=line.amount,
            currency=line.currency,
            period_start=line.period.start if line.period else None,
            period_end=line.period.end if line.period else None,
            proration=line.is_proration,
        )


class PreviewOut(OutputModel):
    """What a change would bill; `amount_due` falls due at `effective_at`."""

    direction: Direction
    lines: list[PreviewLineOut]
    amount_due: int
    currency: str
    effective_at: Instant

    @classmethod
    def from_domain(cls, preview: ChangePreview) -> PreviewOut:
        return cls(
            direction=preview.direction,
            lines=[PreviewLineOut.from_domain(line) for line in preview.lines],
            amount_due=preview.amount_due,
            currency=preview.currency,
            effective_at=preview.effective_at,
        )


class CardOut(OutputModel):
    brand: str
    last4: str
    exp_month: int
    exp_year: int


class PaymentMethodOut(OutputModel):
    id: str
    type: str
    card: CardOut | None
    created: Instant
    is_default: bool

    @classmethod
    def from_domain(cls, method: PaymentMethod) -> PaymentMethodOut:
        return cls(
            id=method.id,
            type=method.type,
            card=CardOut.model_validate(method.card) if method.card else None,
            created=method.created_at,
            is_default=method.is_default,
        )


class PaymentMethodsOut(OutputModel):
    data: list[PaymentMethodOut]


def _fields(view: SubscriptionView) -> dict[str, Any]:
    change = view.pending_change
    return {
        "tier": view.tier,
        "plan": view.plan,
        "status": view.status,
        "current_period_start": view.period.start if view.period else None,
        "current_period_end": view.period.end if view.period else None,
        "cancel_at_period_end": view.cancel_at_period_end,
        "cancel_at": view.cancel_at,
        "trial_end": view.trial_end,
        "amount": view.amount,
        "currency": view.currency,
        "interval": view.interval,
        "payment_state": view.payment_state,
        "grace_until": view.grace_until,
        "pending_change": PendingChangeOut.model_validate(change) if change else None,
        "pause": PauseOut.model_validate(view.pause) if view.pause else None,
        "pay_url": view.pay_url,
        "features": sorted(view.features),
    }
