"""What happened to credit."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.kernel.facts import Fact


@dataclass(frozen=True, slots=True)
class CreditGranted(Fact):
    """Credit was given, in minor units."""

    organization_id: UUID
    grant_id: UUID
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class CreditExpiring(Fact):
    """What is left of a grant lapses within a week; once a grant."""

    organization_id: UUID
    grant_id: UUID
    amount: int
    currency: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class CreditLow(Fact):
    """A balance that is topped up by itself fell below its threshold, in minor units."""

    organization_id: UUID
    balance: int
    currency: str


@dataclass(frozen=True, slots=True)
class CreditToppedUp(Fact):
    """Credit was paid for and given, in minor units."""

    organization_id: UUID
    top_up_id: UUID
    kind: str
    amount: int
    currency: str
    receipt_url: str | None


@dataclass(frozen=True, slots=True)
class CreditNotTakenBack(Fact):
    """The payment of a top-up went back, and *amount* of its credit is used or held already.

    *cause* names the refund or the dispute.
    """

    organization_id: UUID
    top_up_id: UUID
    cause: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class AutoTopUpFailed(Fact):
    """Credit was to be bought by itself and was not, in minor units.

    Without a *top_up_id* nothing was tried: there was nothing to charge, the month's cap was
    reached, or an earlier one was sent back.
    """

    organization_id: UUID
    top_up_id: UUID | None
    reason: str
    amount: int
    currency: str
    pay_url: str | None
    is_off: bool
