"""What we ask of Stripe and what it tells us, in frozen values of our own.

Statuses stay plain text: Stripe adds new ones without asking, and a status that nobody here knows
grants nothing (see `subscriptions.domain`). Fields that Stripe may leave out are `None`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from app.kernel.periods import Period


@dataclass(frozen=True, slots=True)
class CustomerDetails:
    """Who a new customer is."""

    name: str
    email: str | None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StripeCustomer:
    """A customer as Stripe has it; a deleted one still answers."""

    id: str
    is_deleted: bool
    default_payment_method_id: str | None
    livemode: bool


@dataclass(frozen=True, slots=True)
class OrderedPrice:
    """A price to subscribe to; a metered one has no quantity."""

    price_id: str
    quantity: int | None = 1


@dataclass(frozen=True, slots=True)
class CheckoutOrder:
    """What a customer is sent to pay for, and where they return to."""

    customer_id: str
    reference: str
    """Our own name for the buyer, shown beside the payment in Stripe's dashboard."""
    prices: tuple[OrderedPrice, ...]
    success_url: str
    cancel_url: str
    trial_days: int = 0
    promotion_code_id: str | None = None
    """A promotion code to apply; without one the customer may type one."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Written on the session and on the subscription that it creates."""


@dataclass(frozen=True, slots=True)
class StripeCheckout:
    """A hosted payment page."""

    id: str
    url: str | None
    status: str | None
    """`open`, `complete` or `expired`."""
    payment_status: str
    customer_id: str | None
    subscription_id: str | None
    expires_at: datetime
    metadata: Mapping[str, str]
    livemode: bool
    promotion_code_id: str | None = None
    """The code that was applied, by us or by whoever typed it on the page."""

    @property
    def is_open(self) -> bool:
        return self.status == "open"

    @property
    def is_complete(self) -> bool:
        return self.status == "complete"


@dataclass(frozen=True, slots=True)
class StripeItem:
    """One price of a subscription."""

    id: str
    price_id: str
    is_metered: bool
    quantity: int | None
    unit_amount: int | None
    currency: str
    interval: str | None
    interval_count: int
    period: Period | None


@dataclass(frozen=True, slots=True)
class StripePendingUpdate:
    """A change that takes effect when it is paid, and lapses when it is not."""

    price_ids: tuple[str, ...]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class StripePhase:
    """A stretch of a schedule and the prices billed in it."""

    price_ids: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class StripeSchedule:
    """What will happen to a subscription by itself."""

    id: str
    status: str
    phases: tuple[StripePhase, ...]

    @property
    def is_in_force(self) -> bool:
        return self.status in {"active", "not_started"}


@dataclass(frozen=True, slots=True)
class StripePause:
    """Why a subscription bills nothing for now."""

    is_collection: bool
    """Only the collecting of invoices rests; the subscription itself goes on."""
    reason: str | None
    """Stripe's word: what paused it, or what becomes of the invoices meanwhile."""
    resumes_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StripeSubscription:
    """A subscription as it was when Stripe answered."""

    id: str
    customer_id: str
    status: str
    currency: str
    items: tuple[StripeItem, ...]
    created_at: datetime
    started_at: datetime | None
    cancel_at: datetime | None
    cancel_at_period_end: bool
    canceled_at: datetime | None
    ended_at: datetime | None
    trial_start: datetime | None
    trial_end: datetime | None
    pending_update: StripePendingUpdate | None
    schedule: StripeSchedule | None
    latest_invoice_id: str | None
    open_invoice_url: str | None
    """Where the customer pays the latest invoice, while it is open."""
    default_payment_method_id: str | None
    metadata: Mapping[str, str]
    livemode: bool
    pause: StripePause | None = None
    end_reason: str | None = None
    """Why it ended or will end: `cancellation_requested`, `payment_failed`, `payment_disputed`."""
    awaits_first_payment: bool = False
    """Its first invoice is issued and was never paid: bank debits take days, and may fail."""

    @property
    def licensed(self) -> tuple[StripeItem, ...]:
        """The items that are billed per period whatever is used."""
        return tuple(item for item in self.items if not item.is_metered)

    @property
    def period(self) -> Period | None:
        """The current period. With mixed intervals, that of the item which ends last."""
        periods = [item.period for item in self.licensed or self.items if item.period]
        return max(periods, key=lambda period: period.end) if periods else None


@dataclass(frozen=True, slots=True)
class StripeInvoiceLine:
    """One line of an invoice."""

    id: str
    description: str
    amount: int
    currency: str
    quantity: int | None
    price_id: str | None
    period: Period | None
    is_proration: bool


@dataclass(frozen=True, slots=True)
class StripeDiscount:
    """What a coupon took off an invoice."""

    name: str
    percent: Decimal | None
    """None where it takes off an amount, or is not known."""
    amount: int


@dataclass(frozen=True, slots=True)
class StripeBuyer:
    """Who an invoice is made out to, as Stripe wrote it down when it was finalized."""

    name: str | None = None
    email: str | None = None
    address: tuple[str, ...] = ()
    tax_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StripeInvoice:
    """An invoice that Stripe issued, or the preview of one (which has no id)."""

    id: str | None
    customer_id: str | None
    subscription_id: str | None
    number: str | None
    status: str | None
    """`draft`, `open`, `paid`, `void` or `uncollectible`."""
    billing_reason: str | None
    currency: str
    subtotal: int
    discount: int
    tax: int
    total: int
    amount_due: int
    amount_paid: int
    amount_remaining: int
    created_at: datetime
    period: Period | None
    """The licensed period that this invoice pays for, read off its lines."""
    finalized_at: datetime | None
    paid_at: datetime | None
    voided_at: datetime | None
    uncollectible_at: datetime | None
    due_at: datetime | None
    attempt_count: int
    next_attempt_at: datetime | None
    hosted_url: str | None
    pdf_url: str | None
    lines: tuple[StripeInvoiceLine, ...]
    metadata: Mapping[str, str]
    livemode: bool
    buyer: StripeBuyer = field(default_factory=StripeBuyer)
    discounts: tuple[StripeDiscount, ...] = ()
    """What `discount` is made of."""
    credited_before: int = 0
    """What credit notes took off `amount_due`."""
    credited_after: int = 0
    """What credit notes gave back of what was paid."""

    @property
    def credited(self) -> int:
        return self.credited_before + self.credited_after

    @property
    def is_paid(self) -> bool:
        return self.status == "paid"


@dataclass(frozen=True, slots=True)
class StripeCard:
    """The face of a card, without its number."""

    brand: str
    last4: str
    exp_month: int
    exp_year: int


@dataclass(frozen=True, slots=True)
class StripePaymentMethod:
    """A way to pay that a customer has saved."""

    id: str
    type: str
    card: StripeCard | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ItemChange:
    """How one item of a subscription becomes another: replaced, added or removed."""

    item_id: str | None = None
    price_id: str | None = None
    quantity: int | None = None
    is_removed: bool = False


class StripeGateway(Protocol):
    """Everything the service asks of Stripe.

    *key* is the caller's idempotency key: it derives from a row's id, so that a repeated call has
    one effect. Each method raises `StripeUnavailable` when Stripe cannot answer, `StripeMissing`
    for an id it does not know, `StripeRefused` for what it will not do; none may be called inside
    a unit of work.
    """

    def require_configured(self) -> None:
        """Raises `StripeNotConfigured` where there is no account to ask."""
        ...

    async def create_customer(self, details: CustomerDetails, *, key: str) -> str:
        """A new customer's id."""
        ...

    async def get_customer(self, customer_id: str) -> StripeCustomer: ...

    async def create_checkout(self, order: CheckoutOrder, *, key: str) -> StripeCheckout:
        """Open a hosted page that starts a subscription when it is paid."""
        ...

    async def get_checkout(self, checkout_id: str) -> StripeCheckout: ...

    async def expire_checkout(self, checkout_id: str) -> StripeCheckout:
        """Close an open page. Raises `StripeRefused` when it is no longer open."""
        ...

    async def create_portal(self, customer_id: str, *, return_url: str) -> str:
        """The address of a page where the customer manages what they have."""
        ...

    async def get_subscription(self, subscription_id: str) -> StripeSubscription: ...

    async def change_items(
        self, subscription_id: str, changes: tuple[ItemChange, ...], *, is_billed: bool, key: str
    ) -> StripeSubscription:
        """Change what is subscribed to, now.

        When billed, the difference is invoiced at once and the change holds only once it is paid:
        until then it is the answer's `pending_update`. Raises `CardDeclined`.
        """
        ...

    async def schedule_items(
        self, subscription: StripeSubscription, next_prices: tuple[OrderedPrice, ...], *, key: str
    ) -> StripeSubscription:
        """Keep the current items to the end of the period, then bill *next_prices*."""
        ...

    async def release_schedule(self, schedule_id: str, *, key: str) -> None:
        """Let the subscription go on as it is; what was scheduled does not happen."""
        ...

    async def cancel_at_period_end(
        self, subscription_id: str, *, comment: str | None, key: str
    ) -> StripeSubscription: ...

    async def cancel_now(
        self, subscription_id: str, *, comment: str | None, key: str
    ) -> StripeSubscription:
        """End it at once and bill the metered usage that was not invoiced yet."""
        ...

    async def undo_cancellation(
        self, subscription: StripeSubscription, *, key: str
    ) -> StripeSubscription:
        """Take back a scheduled cancellation, whichever of Stripe's two ways scheduled it."""
        ...

    async def resume_paused(self, subscription_id: str, *, key: str) -> StripeSubscription:
        """Start a paused subscription again, from now, once its first invoice is paid."""
        ...

    async def resume_collection(self, subscription_id: str, *, key: str) -> StripeSubscription:
        """Let the invoices of a subscription be collected again."""
        ...

    async def preview(
        self,
        subscription_id: str,
        changes: tuple[ItemChange, ...] = (),
        *,
        is_billed: bool = False,
    ) -> StripeInvoice:
        """The invoice that *changes* would bring: at once when billed, else the next renewal."""
        ...

    async def get_invoice(self, invoice_id: str) -> StripeInvoice: ...

    async def list_payment_methods(self, customer_id: str) -> tuple[StripePaymentMethod, ...]: ...

    async def find_promotion_code(self, code: str) -> str | None:
        """The id of the active promotion code that customers type as *code*."""
        ...
