"""Credit notes that were made at Stripe, for invoices of Stripe's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StripeCreditedLine:
    """What a note takes back of a line, or a line of its own."""

    description: str
    amount: int
    """Before discount and tax."""
    discount: int
    tax: int
    invoice_line_id: str | None


@dataclass(frozen=True, slots=True)
class StripeCreditNote:
    """A note as Stripe describes it: of its figures none ever changes, but it may become void."""

    id: str
    invoice_id: str
    number: str
    reason: str | None
    memo: str | None
    currency: str
    total: int
    tax: int
    before_payment: int
    """How much less is to be paid for it."""
    after_payment: int
    """How much of what was paid goes back: refunded, by hand, the rest to the customer's balance."""
    by_hand: int
    refunds: tuple[tuple[str, int], ...]
    """Refunds that belong to it, by Stripe's id, with the part that does."""
    lines: tuple[StripeCreditedLine, ...]
    """The first of them, as far as Stripe lists them with the note."""
    issued_at: datetime
    voided_at: datetime | None


class CreditNotesGateway(Protocol):
    """What is asked of Stripe about credit notes; errors as with `StripeGateway`."""

    async def get_credit_note(self, credit_note_id: str) -> StripeCreditNote: ...

    async def list_credit_notes(self, invoice_id: str) -> tuple[StripeCreditNote, ...]:
        """Every note of an invoice, void ones too, the newest first."""
        ...
