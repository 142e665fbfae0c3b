"""What an invoice is, where it comes from, and which way its state may move."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from app.invoices.document import Party
from app.invoices.domain.charging import LineKind
from app.invoices.domain.notes import Noted, Settlement
from app.kernel.ids import OrganizationId
from app.kernel.money import Money
from app.kernel.periods import Period


class InvoiceOrigin(StrEnum):
    """Who issued it."""

    STRIPE = "stripe"
    OWN = "own"


class CollectionState(StrEnum):
    """How far a request at Stripe to pay an invoice of ours has come."""

    RESERVED = "reserved"
    OPEN = "open"
    STOPPING = "stopping"
    """Ours to take back, because it asks for what is not owed any more."""
    STOPPED = "stopped"
    """Taken back by us; what is still owed is asked for anew."""
    PAID = "paid"
    VOID = "void"
    """Taken back by somebody else, who will have had a reason: nothing is asked for anew."""

    @staticmethod
    def over() -> frozenset[str]:
        """States that nothing follows."""
        return frozenset(
            {
                CollectionState.PAID.value,
                CollectionState.VOID.value,
                CollectionState.STOPPED.value,
            }
        )

    @staticmethod
    def asking() -> frozenset[str]:
        """States of which an invoice has one request at most."""
        return frozenset({CollectionState.RESERVED.value, CollectionState.OPEN.value})

    @staticmethod
    def not_followed() -> frozenset[str]:
        """States beside which nothing more is asked for."""
        return frozenset({CollectionState.STOPPING.value, CollectionState.VOID.value})


class PaymentProblem(StrEnum):
    """Why an invoice of ours that is collected through Stripe is not paid yet."""

    FAILED = "failed"
    """The last attempt failed; Stripe tries again by itself, or somebody pays on its page."""
    ACTION_REQUIRED = "action_required"
    """The customer's bank asks for a confirmation, on Stripe's page."""


class InvoiceStatus(StrEnum):
    """`draft → open → paid | void | uncollectible`; a written-off invoice may still be paid."""

    DRAFT = "draft"
    OPEN = "open"
    UNCOLLECTIBLE = "uncollectible"
    PAID = "paid"
    VOID = "void"

    @property
    def rank(self) -> int:
        """How far along it is; a state never gives way to one of a lower rank."""
        return _RANKS[self]

    @property
    def is_final(self) -> bool:
        return self in {InvoiceStatus.PAID, InvoiceStatus.VOID}


_RANKS = {
    InvoiceStatus.DRAFT: 0,
    InvoiceStatus.OPEN: 1,
    InvoiceStatus.UNCOLLECTIBLE: 2,
    InvoiceStatus.PAID: 3,
    InvoiceStatus.VOID: 3,
}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an invoice had come when someone looked: state, then attempts, then money in.

    None of the three ever goes back at Stripe, so of two looks the further one is the later one,
    whatever order they are told in.
    """

    status: InvoiceStatus
    attempt_count: int
    amount_paid: int

    def gives_way_to(self, seen: Progress) -> bool:
        """Whether *seen* may replace this. Of two equal looks the one told last counts."""
        if self.status.is_final:
            return seen.status is self.status and seen._inside >= self._inside
        if seen.status.rank != self.status.rank:
            return seen.status.rank > self.status.rank
        return seen._inside >= self._inside

    @property
    def _inside(self) -> tuple[int, int]:
        return self.attempt_count, self.amount_paid


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One line as it was billed."""

    description: str
    quantity: Decimal | None
    amount: Money
    period: Period | None
    is_proration: bool
    kind: LineKind | None
    """None on a mirrored line."""
    unit_amount: Decimal | None
    discount: Money
    tax: Money


@dataclass(frozen=True, slots=True)
class Named:
    """A tax or a discount as a document shows it."""

    name: str
    rate: Decimal | None
    """The share, of a tax or a discount that is one."""
    amount: Money


@dataclass(frozen=True, slots=True)
class OwnPart:
    """What an invoice of our own says beside."""

    plan: str
    collection: str
    payment_problem: PaymentProblem | None
    rounding: str
    taxes: tuple[Named, ...]
    discounts: tuple[Named, ...]
    notes: tuple[str, ...]
    credit_applied: Money
    creditable: Money
    finalize_after: datetime


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice with its lines. Amounts are the issuer's; nothing is worked out here."""

    id: UUID
    organization_id: OrganizationId
    origin: InvoiceOrigin
    stripe_invoice_id: str | None
    stripe_subscription_id: str | None
    number: str | None
    status: InvoiceStatus
    billing_reason: str | None
    subtotal: Money
    discount: Money
    tax: Money
    total: Money
    amount_due: Money
    amount_paid: Money
    amount_remaining: Money
    period: Period | None
    created_at: datetime
    issued_at: datetime | None
    due_at: datetime | None
    paid_at: datetime | None
    voided_at: datetime | None
    attempt_count: int
    next_attempt_at: datetime | None
    hosted_invoice_url: str | None
    seller: Party
    customer: Party
    lines: tuple[InvoiceLine, ...]
    own: OwnPart | None = None
    """None for a mirrored one."""
    mirrored_discounts: tuple[Named, ...] = ()
    """Of a mirrored one."""
    credit_notes: tuple[Noted, ...] = ()
    """Issued since, oldest first."""
    refunded: int = 0
    """What has gone back of what was paid, or is on its way, in minor units."""
    credited_before: int = 0
    """What credit notes of Stripe's took off `amount_due`, in minor units."""

    @property
    def credited(self) -> int:
        """What credit notes took back, in minor units."""
        return sum(note.total.minor for note in self.credit_notes if note.voided_at is None)

    @property
    def reduced(self) -> Money:
        """What credit notes took off it before it was paid."""
        if self.own is None:
            return self._reduced_in_due
        return sum(
            (note.total for note in self.credit_notes if note.settlement is Settlement.REDUCTION),
            Money.zero(self.total.currency),
        )

    @property
    def balance_applied(self) -> Money:
        """What the customer's balance at Stripe took off the total; negative where it was added."""
        if self.own is not None:
            return Money.zero(self.total.currency)
        return self.total - self.amount_due - self._reduced_in_due

    @property
    def adjusted(self) -> Money:
        """What is not asked for any more, and neither payments nor credit notes explain."""
        unpaid = self.amount_due - self.amount_paid - self.still_owed
        return unpaid - self.reduced + self._reduced_in_due

    @property
    def _reduced_in_due(self) -> Money:
        """What credit notes took off the amount due itself, instead of what is left of it."""
        return Money(self.credited_before, self.total.currency)

    @property
    def discounts(self) -> tuple[Named, ...]:
        """What `discount` is made of; a rate is in percent."""
        return self.own.discounts if self.own is not None else self.mirrored_discounts

    @property
    def is_paid(self) -> bool:
        return self.status is InvoiceStatus.PAID

    @property
    def payment_problem(self) -> PaymentProblem | None:
        """Why collecting it has not worked so far; nothing once it is settled."""
        if self.own is None or self.status.is_final:
            return None
        return self.own.payment_problem

    @property
    def still_owed(self) -> Money:
        """What is left to pay; nothing on a void invoice, whatever it once asked for."""
        if self.status is InvoiceStatus.VOID:
            return Money.zero(self.total.currency)
        return self.amount_remaining
