"""Credit notes as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from app.kernel.money import Money


class NoteKind(StrEnum):
    """Why something is taken back."""

    CORRECTION = "correction"
    """It should not have been billed: later adjustments take it as not billed."""
    GOODWILL = "goodwill"
    """It was right and is given back all the same."""


class Settlement(StrEnum):
    """What becomes of the amount."""

    REDUCTION = "reduction"
    """Less is left to pay; the only way while the invoice is open."""
    CREDIT = "credit"
    """It becomes prepaid credit."""
    REFUND = "refund"
    """It goes back the way it came; at most what came."""


@dataclass(frozen=True, slots=True)
class NoteRequest:
    """What an operator wants taken back: by the line's place, how much of its amount; nothing
    named is all that is left."""

    amounts: Mapping[int, int | None]
    kind: NoteKind
    reason: str
    settlement: Settlement | None = None
    refund_reference: str | None = None


@dataclass(frozen=True, slots=True)
class Noted:
    """A credit note as it was issued."""

    id: UUID
    invoice_id: UUID
    number: str
    kind: NoteKind
    settlement: Settlement
    reason: str
    net: Money
    tax: Money
    total: Money
    issued_at: datetime
