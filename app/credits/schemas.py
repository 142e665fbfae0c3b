"""Credit on the wire. Amounts are minor units of their currency."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from app.credits.domain import (
    AutoTopUp,
    Balance,
    Deduction,
    Draw,
    Entry,
    EntryKind,
    Grant,
    GrantType,
    TopUp,
    TopUpKind,
    TopUpState,
    TopUpTerms,
    TopUpTrouble,
)
from app.infra.http.schemas import (
    DecimalString,
    InputModel,
    Instant,
    InstantIn,
    OutputModel,
    prefixed_id,
)
from app.kernel.money import USD, Currency

if TYPE_CHECKING:
    GrantId = UUID
    EntryId = UUID
    InvoiceId = UUID
    OrganizationIdIn = UUID
    TopUpId = UUID
else:
    GrantId = prefixed_id("crd")
    EntryId = prefixed_id("ctx")
    InvoiceId = prefixed_id("inv")
    OrganizationIdIn = prefixed_id("org")
    TopUpId = prefixed_id("top")

Amount = Annotated[int, Field(gt=0, le=10**12, examples=[5000])]
Note = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


def _currency(code: str) -> str:
    return str(Currency(code))


CurrencyIn = Annotated[
    str,
    Field(pattern="^[A-Za-z]{3}$", examples=["usd"]),
    AfterValidator(_currency),
]


class GrantIn(InputModel):
    """Credit to give; it expires at an instant, after some days, or never."""

    organization_id: OrganizationIdIn
    amount: Amount
    currency: CurrencyIn = "usd"
    type: GrantType = GrantType.PROMOTIONAL
    description: Note | None = Field(default=None, examples=["Welcome bonus"])
    expires_at: InstantIn | None = None
    expires_in_days: Annotated[int, Field(ge=1, le=3650)] | None = None

    @model_validator(mode="after")
    def _one_end(self) -> GrantIn:
        if self.expires_at is not None and self.expires_in_days is not None:
            raise ValueError("expires_at or expires_in_days, not both")
        return self

    @property
    def lasts(self) -> timedelta | None:
        return None if self.expires_in_days is None else timedelta(days=self.expires_in_days)


class DeductionIn(InputModel):
    """Credit to take."""

    organization_id: OrganizationIdIn
    amount: Amount
    currency: CurrencyIn = "usd"
    description: Note = Field(examples=["Monthly subscription"])


class GrantOut(OutputModel):
    """Credit that was given, and what is left of it."""

    id: GrantId
    type: GrantType
    amount: int
    remaining: int
    currency: str
    expires_at: Instant | None
    granted_at: Instant
    description: str | None

    @classmethod
    def of(cls, grant: Grant) -> GrantOut:
        return cls.model_validate(grant)


class BalanceOut(OutputModel):
    """What there is to spend in one currency."""

    currency: str
    balance: int
    available: int = Field(
        description="What of the balance neither waits to be settled nor is held, in minor units."
    )
    unsettled_usd: DecimalString = Field(
        description="What calls to models have cost and the balance does not show yet."
    )
    held_usd: DecimalString = Field(description="What reservations hold.")
    expiring: list[GrantOut]

    @classmethod
    def of(cls, balance: Balance) -> BalanceOut:
        return cls(
            currency=balance.currency,
            balance=balance.amount,
            available=balance.available,
            unsettled_usd=balance.unsettled,
            held_usd=balance.held,
            expiring=[GrantOut.of(grant) for grant in balance.expiring],
        )


class CreditsOut(BalanceOut):
    """The balance in US dollars, or in the only other currency there is; and all of them."""

    balances: list[BalanceOut]

    @classmethod
    def of_all(cls, balances: list[Balance]) -> CreditsOut:
        main = next((one for one in balances if one.currency == USD), None)
        if main is None:
            main = balances[0] if len(balances) == 1 else Balance(USD, 0, ())
        shown = BalanceOut.of(main)
        return cls(**dict(shown), balances=[BalanceOut.of(one) for one in balances])


class DrawOut(OutputModel):
    """How much of which grant."""

    grant_id: GrantId
    amount: int

    @classmethod
    def of(cls, draw: Draw) -> DrawOut:
        return cls(grant_id=draw.grant_id, amount=abs(draw.amount))


class EntryOut(OutputModel):
    """A line of the ledger; `amount` is what it added to the balance."""

    id: EntryId
    kind: EntryKind
    credit_type: GrantType | None
    amount: int
    currency: str
    description: str | None
    invoice_id: InvoiceId | None
    created_at: Instant
    grants: list[DrawOut]

    @classmethod
    def of(cls, entry: Entry) -> EntryOut:
        return cls(
            id=entry.id,
            kind=entry.kind,
            credit_type=entry.credit_type,
            amount=entry.amount,
            currency=entry.currency,
            description=entry.description,
            invoice_id=entry.invoice_id,
            created_at=entry.created_at,
            grants=[DrawOut.of(draw) for draw in entry.draws],
        )


class DeductionOut(OutputModel):
    """What was taken, what is still owed, and what is left."""

    amount_deducted: int
    remaining_amount: int
    balance: int
    currency: str
    transaction: EntryOut | None

    @classmethod
    def of(cls, deduction: Deduction, currency: str) -> DeductionOut:
        entry = deduction.entry
        return cls(
            amount_deducted=deduction.amount_deducted,
            remaining_amount=deduction.remaining_amount,
            balance=deduction.balance,
            currency=currency,
            transaction=EntryOut.of(entry) if entry else None,
        )


class AutoTopUpIn(InputModel):
    """When credit is bought by itself. Switched on, all three amounts are needed."""

    enabled: bool
    currency: CurrencyIn = "usd"
    threshold: Annotated[int, Field(gt=0, le=10**12, examples=[1000])] | None = Field(
        default=None, description="Buy when the balance is below this; minor units (cents)."
    )
    amount: Amount | None = Field(
        default=None, description="How much is bought each time; minor units (cents)."
    )
    monthly_cap: Annotated[int, Field(gt=0, le=10**12, examples=[20000])] | None = Field(
        default=None,
        description="At most this much is bought by itself in a calendar month (UTC), at least one"
        " amount; minor units (cents).",
    )

    @model_validator(mode="after")
    def _is_whole(self) -> AutoTopUpIn:
        given = (self.threshold, self.amount, self.monthly_cap)
        if self.enabled and None in given:
            raise ValueError("enabled needs threshold, amount and monthly_cap")
        if self.amount is not None and (self.monthly_cap or self.amount) < self.amount:
            raise ValueError("monthly_cap is at least one amount")
        return self

    @property
    def terms(self) -> TopUpTerms | None:
        """What to buy from now on; None switches it off."""
        if not self.enabled or self.threshold is None or not self.amount or not self.monthly_cap:
            return None
        return TopUpTerms(Currency(self.currency), self.threshold, self.amount, self.monthly_cap)


class TopUpIn(InputModel):
    """Credit to buy."""

    amount: Amount = Field(description="Minor units (cents) of the currency.")
    currency: CurrencyIn = "usd"


class TopUpOut(OutputModel):
    """A purchase of credit. It is given when `state` is `paid`."""

    id: TopUpId
    kind: TopUpKind
    state: TopUpState
    amount: int = Field(description="Minor units (cents) of the currency.")
    currency: str
    pay_url: str | None = Field(description="Where to pay it, while `state` is `open`.")
    receipt_url: str | None = Field(description="Stripe's receipt, once it is paid.")
    trouble: TopUpTrouble | None = Field(description="Why it is not paid, or never was.")
    created_at: Instant
    settled_at: Instant | None

    @classmethod
    def of(cls, top_up: TopUp) -> TopUpOut:
        return cls(
            id=top_up.id,
            kind=top_up.kind,
            state=top_up.state,
            amount=top_up.amount,
            currency=top_up.currency,
            pay_url=top_up.pay_url if top_up.state is TopUpState.OPEN else None,
            receipt_url=top_up.pay_url if top_up.state is TopUpState.PAID else None,
            trouble=top_up.trouble,
            created_at=top_up.created_at,
            settled_at=top_up.settled_at,
        )


class AutoTopUpOut(OutputModel):
    """When credit is bought by itself, and how that does. Amounts are minor units (cents)."""

    enabled: bool
    currency: str | None
    threshold: int | None = Field(description="Credit is bought when there is less than this.")
    amount: int | None = Field(description="How much is bought each time.")
    monthly_cap: int | None = Field(description="At most this much in a calendar month (UTC).")
    bought_this_month: int = Field(description="Counts against the cap, with what is underway.")
    consecutive_failures: int = Field(description="After three it is switched off by itself.")
    off_because: TopUpTrouble | None = Field(description="Set where it was switched off by itself.")
    underway: TopUpOut | None = Field(description="What is being paid; no other begins meanwhile.")

    @classmethod
    def of(cls, settings: AutoTopUp) -> AutoTopUpOut:
        terms = settings.terms
        return cls(
            enabled=settings.is_on,
            currency=terms.currency if terms else None,
            threshold=terms.threshold if terms else None,
            amount=terms.amount if terms else None,
            monthly_cap=terms.monthly_cap if terms else None,
            bought_this_month=settings.bought_this_month,
            consecutive_failures=settings.failures,
            off_because=settings.off_because,
            underway=TopUpOut.of(settings.underway) if settings.underway else None,
        )
