"""Refunds and disputes as operators see them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from app.infra.http.schemas import ActorOut, InputModel, Instant, OutputModel, prefixed_id
from app.payments import domain
from app.payments.domain import RefundRequest

RefundId = prefixed_id("ref")
DisputeId = prefixed_id("dsp")
OrganizationIdOut = prefixed_id("org")
InvoiceIdIn = prefixed_id("inv")

_MAX_AMOUNT = 99_999_999_999


class RefundIn(InputModel):
    """What is to go back: of an invoice's payment, or of a charge by Stripe's id of it."""

    invoice_id: InvoiceIdIn | None = None  # type: ignore[valid-type]
    charge_id: Annotated[
        str | None,
        StringConstraints(pattern=r"^(ch|py)_[A-Za-z0-9_]{1,250}$"),
        Field(examples=["ch_3Qf0aL2eZvKYlo2C1ab2cd3e"]),
    ] = None
    amount: Annotated[
        int | None, Field(gt=0, le=_MAX_AMOUNT, description="All that is left without it.")
    ] = None
    reason: Annotated[
        str,
        StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00]*$"),
        Field(
            description="Kept, and shown at Stripe; `duplicate`, `fraudulent` and"
            " `requested_by_customer` are Stripe's own words.",
            examples=["requested_by_customer"],
        ),
    ]

    @model_validator(mode="after")
    def _names_one_payment(self) -> Self:
        if (self.invoice_id is None) == (self.charge_id is None):
            raise ValueError("name either invoice_id or charge_id")
        return self

    def to_domain(self) -> RefundRequest:
        return RefundRequest(
            reason=self.reason,
            stripe_charge_id=self.charge_id,
            invoice_id=self.invoice_id,
            amount=self.amount,
        )


class RefundOut(OutputModel):
    """A refund. `requested` has no answer from Stripe yet and is asked for again by itself."""

    id: RefundId  # type: ignore[valid-type]
    organization_id: OrganizationIdOut  # type: ignore[valid-type]
    stripe_refund_id: str | None
    stripe_charge_id: str
    stripe_invoice_id: str | None
    amount: int
    currency: str
    status: Annotated[str, Field(examples=["succeeded"])]
    reason: str | None
    failure_reason: str | None
    requested_by: Annotated[ActorOut | None, Field(description="Null for refunds made at Stripe.")]
    created_at: Instant

    @classmethod
    def from_domain(cls, refund: domain.Refund) -> RefundOut:
        return cls.model_validate(refund)


class DisputeOut(OutputModel):
    """A dispute, or the inquiry that may come before one."""

    id: DisputeId  # type: ignore[valid-type]
    organization_id: OrganizationIdOut  # type: ignore[valid-type]
    stripe_dispute_id: str
    stripe_charge_id: str
    stripe_invoice_id: str | None
    amount: int
    currency: str
    reason: Annotated[str, Field(examples=["fraudulent"])]
    status: Annotated[str, Field(examples=["needs_response"])]
    is_open: bool
    is_inquiry: bool
    is_charge_refundable: bool
    respond_by: Instant | None
    opened_at: Instant

    @classmethod
    def from_domain(cls, dispute: domain.Dispute) -> DisputeOut:
        return cls.model_validate(dispute)
