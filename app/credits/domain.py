"""How credit is given and drawn (rule 7). Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal, localcontext
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from app.kernel.ids import OrganizationId
from app.kernel.money import USD, Currency, Money
from app.kernel.rates import EXACT

EXPIRING_SOON = timedelta(days=7)
"""How long before its end people are told of a grant."""

FAILURES_ALLOWED = 3
"""After so many automatic top-ups in a row that nobody paid, no further one is tried."""
PAYABLE = timedelta(hours=24)
"""How long the page of a top-up that is not paid at once stays open."""
KEY_HOLDS = timedelta(hours=20)
"""How long a call to Stripe may be repeated under its key; Stripe forgets keys after a day."""

SMALLEST_CHARGE: dict[str, int] = {
    **dict.fromkeys(("usd", "eur", "cad", "aud", "nzd", "chf", "sgd", "brl", "inr"), 50),
    **dict.fromkeys(("ars", "cop", "idr", "ils", "php", "rub", "zar"), 50),
    "gbp": 30,
    "jpy": 50,
    "krw": 50,
    "mxn": 1000,
    "dkk": 250,
    "nok": 300,
    "sek": 300,
    "pln": 200,
    "czk": 1500,
    "ron": 200,
    "huf": 17500,
    "hkd": 400,
    "myr": 200,
    "aed": 200,
    "thb": 1000,
}
"""What Stripe charges at least, in minor units. Of less it says `paid` and adds it to a later
invoice, so credit would be given before it was paid for.

From docs.stripe.com/currencies, "Minimum charge amount by currency", as of autumn 2026; the API
does not tell. They hold for an account that settles in the currency: a charge that Stripe converts
must come to the minimum of the currency it is converted to."""


USE_CAUSE = "use:"
"""How the cause of an entry begins that settles the use of models."""


class GrantType(StrEnum):
    """Where credit came from."""

    PROMOTIONAL = "promotional"
    REFERRAL = "referral"
    ADJUSTMENT = "adjustment"
    REFUND = "refund"
    PURCHASED = "purchased"


_NEVER = datetime.max.replace(tzinfo=UTC)
_DRAWN_FIRST = {kind: place for place, kind in enumerate(GrantType)}
"""Rule 7 puts promotional before purchased; what was given before what was paid for."""


@dataclass(frozen=True, slots=True)
class Used:
    """What calls to models took of an account's credit and hold of it, exact, in USD."""

    posted: Decimal = Decimal(0)
    held: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Bound:
    """How far use may go, in USD: what there is, and what of it the ledger has taken already.

    From `lapses_at` on, `lapsing` of the balance is gone. Where it does not refuse, it only says
    what was settled.
    """

    balance: Decimal
    settled: Decimal
    refuses: bool
    lapses_at: datetime | None = None
    lapsing: Decimal = Decimal(0)


class CreditUse(Protocol):
    """Who knows what use took and holds, and refuses more; supplied by usage, which stands above.

    Every method joins the unit around it.
    """

    async def hold_still(self, organization_id: OrganizationId) -> None:
        """Let nobody record until the unit ends; before every other lock."""

    async def begin(
        self, organization_id: OrganizationId, account_id: UUID, since: datetime
    ) -> None:
        """Count what happens from *since* on."""

    async def end(self, organization_id: OrganizationId, account_id: UUID, at: datetime) -> None:
        """Count nothing that happens from *at* on."""

    async def look(
        self, organization_id: OrganizationId, account_id: UUID, *, lock: bool = False
    ) -> Used:
        """What use took and holds; with *lock* it neither takes nor holds more until the end."""

    async def used_since(
        self, organization_id: OrganizationId, account_id: UUID, at: datetime
    ) -> Decimal:
        """What of the use happened at *at* or later."""

    async def bound(self, organization_id: OrganizationId, account_id: UUID, bound: Bound) -> None:
        """Set how far use may go."""

    async def list_due(self, now: datetime) -> list[OrganizationId]:
        """Whose use or credit the ledger has something to write down of."""


class EntryKind(StrEnum):
    """What happened to a balance."""

    GRANT = "grant"
    DEDUCTION = "deduction"
    EXPIRY = "expiry"
    RETURN = "return"
    """A deduction that was taken back, to the grants it had drawn on."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Credit that was given, and what is left of it, in minor units."""

    id: UUID
    type: GrantType
    currency: Currency
    amount: int
    remaining: int
    expires_at: datetime | None
    granted_at: datetime
    description: str | None = None

    def is_spendable(self, now: datetime) -> bool:
        return self.remaining > 0 and not self.has_lapsed(now)

    def has_lapsed(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class Draw:
    """How much of a grant an entry took; negative for what it gave back."""

    grant_id: UUID
    amount: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the ledger; *amount* is what it adds to the balance, in minor units."""

    id: UUID
    kind: EntryKind
    credit_type: GrantType | None
    """Of a grant; a deduction may draw on several."""
    amount: int
    currency: Currency
    description: str | None
    invoice_id: UUID | None
    actor: str
    created_at: datetime
    draws: tuple[Draw, ...]


@dataclass(frozen=True, slots=True)
class Balance:
    """What is there to spend in one currency, and which of it will lapse soon."""

    currency: Currency
    amount: int
    expiring: tuple[Grant, ...]
    """Every grant with an end and something left, the soonest first."""
    unsettled: Decimal = Decimal(0)
    """What use has cost and the ledger has not taken yet, in USD."""
    held: Decimal = Decimal(0)
    """What reservations hold, in USD."""

    @property
    def available(self) -> int:
        """What can be spent now, in whole minor units: neither used nor held."""
        return spare(self.amount, max(self.unsettled, Decimal(0)) + self.held)


@dataclass(frozen=True, slots=True)
class Deduction:
    """What a deduction took, and what is still owed after it, in minor units."""

    entry: Entry | None
    amount_deducted: int
    remaining_amount: int
    balance: int


def whole_cents(cost: Decimal) -> int:
    """The cents that a cost fills; what is left of it counts when it has become a cent."""
    with localcontext(EXACT):
        return int((cost * 100).to_integral_value(ROUND_FLOOR))


def in_dollars(cents: int) -> Decimal:
    return Money(cents, USD).major


def spare(balance: int, spoken_for: Decimal) -> int:
    """What of a balance in cents nobody has a claim to."""
    return max(balance + whole_cents(-spoken_for), 0)


def undraw(amount: int, drawn: Iterable[Draw]) -> tuple[Draw, ...]:
    """Give *amount* back to the grants that gave it, in this order; draws below nothing."""
    back: list[Draw] = []
    for draw_ in drawn:
        if amount == 0:
            break
        part = min(amount, draw_.amount)
        back.append(Draw(draw_.grant_id, -part))
        amount -= part
    return tuple(back)


def in_order_of_use(grants: Iterable[Grant]) -> list[Grant]:
    """Soonest to expire first, then given before paid for, then oldest (rule 7)."""
    return sorted(
        grants,
        key=lambda grant: (
            grant.expires_at is None,
            grant.expires_at or _NEVER,
            _DRAWN_FIRST[grant.type],
            grant.granted_at,
            grant.id,
        ),
    )


def draw(amount: int, grants: Iterable[Grant], now: datetime) -> tuple[Draw, ...]:
    """Take *amount* from what may be spent, or as much of it as there is."""
    if amount < 0:
        raise ValueError("an amount to draw is not negative")
    draws: list[Draw] = []
    for grant in in_order_of_use(grants):
        if amount == 0:
            break
        if grant.is_spendable(now):
            taken = min(amount, grant.remaining)
            draws.append(Draw(grant.id, taken))
            amount -= taken
    return tuple(draws)


class TopUpKind(StrEnum):
    """Who asked for it."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


class TopUpState(StrEnum):
    """`reserved` until Stripe has an invoice for it; `open` until that is `paid` or `void`."""

    RESERVED = "reserved"
    OPEN = "open"
    PAID = "paid"
    VOID = "void"

    @property
    def is_over(self) -> bool:
        return self in {TopUpState.PAID, TopUpState.VOID}


class TopUpTrouble(StrEnum):
    """Why credit was not topped up."""

    DECLINED = "declined"
    ACTION_REQUIRED = "action_required"
    """The bank wants the holder's confirmation, and nobody was there."""
    REFUSED = "refused"
    """Stripe would not make an invoice of it."""
    UNPAID = "unpaid"
    """It was not paid while it could be."""
    CANCELED = "canceled"
    MISMATCH = "mismatch"
    """What was paid at Stripe is not what was asked for; a person looks."""
    NO_PAYMENT_METHOD = "no_payment_method"
    SENT_BACK = "sent_back"
    """The payment of one was refunded, or lost in a dispute."""
    CAP_REACHED = "cap_reached"


@dataclass(frozen=True, slots=True)
class TopUpTerms:
    """When credit is bought by itself, and how much of it; minor units of one currency."""

    currency: Currency
    threshold: int
    amount: int
    monthly_cap: int


@dataclass(frozen=True, slots=True)
class TopUp:
    """Credit that is being bought, or was."""

    id: UUID
    kind: TopUpKind
    state: TopUpState
    amount: int
    currency: Currency
    pay_url: str | None
    """Stripe's page of its invoice: to pay it while it is open, and the receipt afterwards."""
    trouble: TopUpTrouble | None
    created_at: datetime
    settled_at: datetime | None

    @property
    def is_to_be_paid(self) -> bool:
        return self.state is TopUpState.OPEN


@dataclass(frozen=True, slots=True)
class AutoTopUp:
    """The settings of an organization, and how they do."""

    is_on: bool
    terms: TopUpTerms | None
    bought_this_month: int
    failures: int
    off_because: TopUpTrouble | None
    underway: TopUp | None


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays at Stripe, and with what."""

    customer_id: str
    payment_method_id: str


class Payers(Protocol):
    """What topping up asks of whoever knows Stripe's customers."""

    async def find(self, organization_id: OrganizationId) -> Payer | None:
        """The customer and what they have saved to pay with; asks Stripe, so outside any unit."""
        ...

    async def sell(
        self,
        organization_id: OrganizationId,
        email: str | None,
        sale: Callable[[str], Awaitable[TopUp]],
    ) -> TopUp:
        """Call *sale* with the id of the organization's customer, who is made if need be."""
        ...


def month_of(now: datetime) -> date:
    """The calendar month, in UTC, in which a top-up counts."""
    return now.astimezone(UTC).date().replace(day=1)


def smallest_charge(currency: Currency) -> Money:
    """What Stripe charges at least; one unit of currencies that it names no minimum for."""
    return Money(SMALLEST_CHARGE.get(str(currency), 10**currency.digits), currency)
