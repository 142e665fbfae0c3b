"""Credit notes on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from app.infra.http.schemas import InputModel, Instant, OutputModel, prefixed_id
from app.invoices.domain import (
    Noted,
    NotedLine,
    NoteKind,
    NoteRefund,
    NoteRequest,
    RefundState,
    RefundWay,
    Settlement,
)

InvoiceIdOnWire = prefixed_id("inv")
CreditNoteIdOnWire = prefixed_id("crn")

MOST = 10**15
"""Of a single payment or credit, in minor units."""


class CreditedLineOut(OutputModel):
    """What is taken back of a line, by its place on the invoice, null for none of its lines;
    `amount` is before discount."""

    line: int | None
    description: str
    amount: int
    net: int
    tax: int

    @classmethod
    def from_domain(cls, line: NotedLine) -> CreditedLineOut:
        return cls(
            line=line.position,
            description=line.description,
            amount=line.amount.minor,
            net=line.net.minor,
            tax=line.tax.minor,
        )


class NoteRefundOut(OutputModel):
    """How the money goes back: through Stripe by itself, or by transfer, which is `made` once it
    has a reference. A `failed` one is sent by transfer."""

    way: RefundWay
    status: RefundState
    reference: str | None
    failure: str | None
    refunded_at: Instant | None

    @classmethod
    def from_domain(cls, refund: NoteRefund) -> NoteRefundOut:
        return cls(
            way=refund.way,
            status=refund.state,
            reference=refund.reference,
            failure=refund.failure,
            refunded_at=refund.refunded_at,
        )


class CreditNoteOut(OutputModel):
    """A credit note. `settlement` says what became of the amount; `refund` is null for no refund.

    Of an invoice that Stripe issued it was made there, and may be void: then it counts no more.
    """

    id: CreditNoteIdOnWire  # type: ignore[valid-type]
    organization_id: prefixed_id("org")  # type: ignore[valid-type]
    invoice_id: InvoiceIdOnWire  # type: ignore[valid-type]
    invoice_number: str
    number: str
    kind: NoteKind
    settlement: Settlement
    reason: str
    currency: str
    net: int
    tax: int
    total: int
    issued_at: Instant
    lines: list[CreditedLineOut]
    refund: NoteRefundOut | None
    voided_at: Instant | None

    @classmethod
    def from_domain(cls, note: Noted) -> CreditNoteOut:
        return cls(
            id=note.id,
            organization_id=note.organization_id,
            invoice_id=note.invoice_id,
            invoice_number=note.invoice_number,
            number=note.number,
            kind=note.kind,
            settlement=note.settlement,
            reason=note.reason,
            currency=note.total.currency,
            net=note.net.minor,
            tax=note.tax.minor,
            total=note.total.minor,
            issued_at=note.issued_at,
            lines=[CreditedLineOut.from_domain(line) for line in note.lines],
            refund=NoteRefundOut.from_domain(note.refund) if note.refund else None,
            voided_at=note.voided_at,
        )


class CreditedLineIn(InputModel):
    """A line by its `index`, the first is 0, and how much of its amount; all that is left if null."""

    line: Annotated[int, Field(ge=0, lt=100_000)]
    amount: Annotated[int, Field(gt=0, le=MOST)] | None = None


class CreditNoteIn(InputModel):
    """What to take back. A `correction` was wrongly billed: later adjustments know. `goodwill`
    was right and is given back all the same."""

    lines: Annotated[list[CreditedLineIn], Field(min_length=1, max_length=1000)]
    kind: NoteKind
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    settlement: Literal["credit", "refund"] = "credit"
    refund_reference: Annotated[str, Field(max_length=200)] | None = None

    @field_validator("lines")
    @classmethod
    def _each_line_once(cls, lines: list[CreditedLineIn]) -> list[CreditedLineIn]:
        if len({one.line for one in lines}) < len(lines):
            raise ValueError("each line is named once")
        return lines

    def to_domain(self) -> NoteRequest:
        return NoteRequest(
            amounts={one.line: one.amount for one in self.lines},
            kind=self.kind,
            reason=self.reason,
            settlement=Settlement(self.settlement),
            refund_reference=self.refund_reference,
        )


class SentIn(InputModel):
    """How a refund was sent by hand."""

    reference: Annotated[str, Field(min_length=1, max_length=200)]
