"""What operators see, on the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, Field

from app.admin import domain
from app.gateways.mail.outbox import KeptMail
from app.infra.http.schemas import ActorOut, DecimalString, Instant, OutputModel, prefixed_id
from app.kernel.ids import encode_id
from app.webhooks.domain import EventState
from app.webhooks.models import StripeEvent

T = TypeVar("T")
U = TypeVar("U")

OrganizationIdOut = prefixed_id("org")
UserIdOut = prefixed_id("usr")
InvoiceIdOut = prefixed_id("inv")
AuditIdOut = prefixed_id("aud")


class CountedPageOut(BaseModel, Generic[T]):
    """A page of a list, and how many rows there are on all pages together."""

    data: list[T]
    has_more: bool
    next_cursor: str | None
    total: int

    @classmethod
    def of(cls, counted: domain.Counted[U], shape: Callable[[U], T]) -> CountedPageOut[T]:
        page = counted.page
        return cls(
            data=[shape(item) for item in page.items],
            has_more=page.has_more,
            next_cursor=page.next_cursor,
            total=counted.total,
        )


class PlanCountOut(OutputModel):
    """One tier: organizations on it, subscriptions sold of it, revenue a month in minor units."""

    count: int
    active: int
    trialing: int
    revenue: int


class BillingStatsOut(OutputModel):
    """The platform at a glance. Each total is the sum of its column in `tier_breakdown`."""

    total_customers: int
    active_subscriptions: int
    trial_subscriptions: int
    monthly_revenue: int
    currency: str
    revenue_by_currency: dict[str, int]
    tier_breakdown: dict[str, PlanCountOut]

    @classmethod
    def from_domain(cls, stats: domain.BillingStats) -> BillingStatsOut:
        return cls(
            total_customers=stats.total_customers,
            active_subscriptions=stats.active_subscriptions,
            trial_subscriptions=stats.trial_subscriptions,
            monthly_revenue=stats.monthly_revenue,
            currency=stats.currency,
            revenue_by_currency=stats.revenue_by_currency,
            tier_breakdown={
                name: PlanCountOut.model_validate(tier) for name, tier in stats.tiers.items()
            },
        )


class CustomerOut(OutputModel):
    """An organization, with the e-mail address of its oldest owner."""

    id: OrganizationIdOut  # type: ignore[valid-type]
    stripe_customer_id: str | None
    name: str
    email: str | None
    tier: str
    members: int
    is_suspended: bool
    created: Instant
    metadata: dict[str, str]

    @classmethod
    def from_domain(cls, customer: domain.Customer) -> CustomerOut:
        owner = {"user_id": encode_id("usr", customer.owner_id)} if customer.owner_id else {}
        return cls(
            id=customer.id,
            stripe_customer_id=customer.stripe_customer_id,
            name=customer.name,
            email=customer.email,
            tier=customer.tier,
            members=customer.members,
            is_suspended=customer.is_suspended,
            created=customer.created_at,
            metadata={**owner, "tier": customer.tier},
        )


class AdminSubscriptionOut(OutputModel):
    """A subscription by Stripe's id. `monthly_revenue` is what it adds to the statistics."""

    id: str
    customer: str
    organization_id: OrganizationIdOut  # type: ignore[valid-type]
    tier: str
    status: str
    amount: int | None
    currency: str
    interval: str
    monthly_revenue: int
    current_period_start: Instant | None
    current_period_end: Instant | None
    cancel_at_period_end: bool
    cancel_at: Instant | None
    trial_end: Instant | None
    created: Instant

    @classmethod
    def from_domain(cls, row: domain.SubscriptionRow) -> AdminSubscriptionOut:
        return cls(
            id=row.stripe_subscription_id,
            customer=row.stripe_customer_id,
            organization_id=row.organization_id,
            tier=row.plan,
            status=row.status,
            amount=row.amount,
            currency=row.currency,
            interval=row.interval,
            monthly_revenue=row.monthly,
            current_period_start=row.current_period_start,
            current_period_end=row.current_period_end,
            cancel_at_period_end=row.cancel_at_period_end,
            cancel_at=row.cancel_at,
            trial_end=row.trial_end,
            created=row.created_at,
        )


class ChargeOut(OutputModel):
    """A charge by Stripe's id of it, or by our id of an invoice that was paid in another way."""

    id: Annotated[str, Field(examples=["ch_3Qf0aL2eZvKYlo2C1ab2cd3e"])]
    organization_id: OrganizationIdOut  # type: ignore[valid-type]
    customer: str | None
    invoice_number: str | None
    amount: int
    amount_refunded: int
    currency: str
    status: Annotated[str, Field(examples=["succeeded"])]
    description: str | None
    created: Instant
    paid: bool
    refunded: Annotated[bool, Field(description="Whether all of it went back.")]

    @classmethod
    def from_domain(cls, charge: domain.Charge) -> ChargeOut:
        return cls(
            id=charge.stripe_charge_id or encode_id("inv", charge.id),
            organization_id=charge.organization_id,
            customer=charge.stripe_customer_id,
            invoice_number=charge.number,
            amount=charge.amount,
            amount_refunded=charge.amount_refunded,
            currency=charge.currency,
            status=charge.status,
            description=charge.description,
            created=charge.happened_at,
            paid=charge.status == "succeeded",
            refunded=0 < charge.amount == charge.amount_refunded,
        )


class AdminInvoiceOut(OutputModel):
    """An invoice of whichever organization."""

    id: InvoiceIdOut  # type: ignore[valid-type]
    organization_id: OrganizationIdOut  # type: ignore[valid-type]
    organization_name: str
    origin: str
    stripe_invoice_id: str | None
    number: str | None
    status: str
    paid: bool
    billing_reason: str | None
    currency: str
    total: int
    amount_due: int
    amount_paid: int
    amount_remaining: int
    created: Instant
    paid_at: Instant | None
    hosted_invoice_url: str | None

    @classmethod
    def from_domain(cls, row: domain.InvoiceRow) -> AdminInvoiceOut:
        return cls(
            id=row.id,
            organization_id=row.organization_id,
            organization_name=row.organization_name,
            origin=row.origin,
            stripe_invoice_id=row.stripe_invoice_id,
            number=row.number,
            status=row.status,
            paid=row.status == "paid",
            billing_reason=row.billing_reason,
            currency=row.currency,
            total=row.total,
            amount_due=row.amount_due,
            amount_paid=row.amount_paid,
            amount_remaining=row.amount_remaining,
            created=row.created_at,
            paid_at=row.paid_at,
            hosted_invoice_url=row.hosted_invoice_url,
        )


class MonthOfUseOut(OutputModel):
    """An organization's use in the current UTC calendar month."""

    debates: DecimalString
    api_calls: DecimalString
    total_tokens: int
    total_cost_usd: DecimalString
    events: int


class UserMembershipOut(OutputModel):
    """An organization someone belongs to. `usage` is the organization's, not the person's alone."""

    id: OrganizationIdOut  # type: ignore[valid-type]
    name: str
    role: str
    tier: str
    usage: MonthOfUseOut

    @classmethod
    def from_domain(cls, membership: domain.UserMembership) -> UserMembershipOut:
        return cls(
            id=membership.organization_id,
            name=membership.name,
            role=membership.role,
            tier=membership.tier,
            usage=MonthOfUseOut.model_validate(membership.usage),
        )


class AdminUserOut(OutputModel):
    """A person, with everything they belong to."""

    id: UserIdOut  # type: ignore[valid-type]
    email: str
    name: str
    is_operator: bool
    is_suspended: bool
    is_verified: bool
    created: Instant
    last_login_at: Instant | None
    organizations: list[UserMembershipOut]

    @classmethod
    def from_domain(cls, user: domain.PlatformUser) -> AdminUserOut:
        return cls(
            id=user.id,
            email=user.email,
            name=user.name,
            is_operator=user.is_operator,
            is_suspended=user.is_suspended,
            is_verified=user.is_verified,
            created=user.created_at,
            last_login_at=user.last_login_at,
            organizations=[UserMembershipOut.from_domain(one) for one in user.organizations],
        )


class AuditEntryOut(OutputModel):
    """Who changed what. Without an organization the entry is the platform's."""

    id: AuditIdOut  # type: ignore[valid-type]
    organization_id: OrganizationIdOut | None  # type: ignore[valid-type]
    occurred_at: Instant
    actor: ActorOut
    action: str
    target: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str | None
    request_id: str | None


class StripeEventOut(OutputModel):
    """An event of the inbox and what became of it."""

    id: str
    type: str
    state: EventState
    note: str | None
    object_id: str | None
    livemode: bool
    attempts: int
    last_error: str | None
    occurred_at: Instant
    received_at: Instant
    handled_at: Instant | None

    @classmethod
    def from_domain(cls, event: StripeEvent) -> StripeEventOut:
        return cls(
            id=event.event_id,
            type=event.type,
            state=EventState(event.state),
            note=event.note,
            object_id=event.object_id,
            livemode=event.livemode,
            attempts=event.attempts,
            last_error=event.last_error,
            occurred_at=event.occurred_at,
            received_at=event.received_at,
            handled_at=event.handled_at,
        )


class ReplayedOut(OutputModel):
    """How many events are to be handled again."""

    replayed: int


class KeptMailOut(OutputModel):
    """A mail in the local outbox, with its text and the one-time code in it."""

    id: str
    to: str
    subject: str
    text: str
    sent_at: Instant

    @classmethod
    def from_domain(cls, mail: KeptMail) -> KeptMailOut:
        return cls(
            id=mail.name, to=mail.to, subject=mail.subject, text=mail.text, sent_at=mail.sent_at
        )
