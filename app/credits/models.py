"""Accounts, grants, the ledger, and which grants its entries drew on."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Date, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.credits import domain
from app.credits.domain import (
    Draw,
    EntryKind,
    GrantType,
    TopUpKind,
    TopUpState,
    TopUpTerms,
    TopUpTrouble,
)
from app.infra.db.base import TenantTable
from app.infra.db.types import CurrencyCode, MinorUnits
from app.kernel.money import Currency

_TYPES = ", ".join(f"'{kind.value}'" for kind in GrantType)
_TOP_UP_KINDS = ", ".join(f"'{kind.value}'" for kind in TopUpKind)
_STATES = ", ".join(f"'{state.value}'" for state in TopUpState)
_KINDS = ", ".join(f"'{kind.value}'" for kind in EntryKind)


class CreditAccount(TenantTable):
    """One currency of an organization: the row that everyone locks who changes its balance.

    `is_used` where calls to models are or were paid from it; `draws_since` while they are. Of what
    they cost, entries have taken `use_settled` in `use_settlements` steps.
    """

    __tablename__ = "credit_accounts"
    __table_args__ = (
        UniqueConstraint("organization_id", "currency"),
        CheckConstraint("use_settled >= 0", name="use_settled_not_negative"),
        CheckConstraint("is_used or draws_since is null", name="drawn_on_is_used"),
    )

    currency: Mapped[CurrencyCode]
    opened_at: Mapped[datetime]
    is_used: Mapped[bool] = mapped_column(default=False)
    draws_since: Mapped[datetime | None]
    use_settled: Mapped[MinorUnits] = mapped_column(default=0)
    use_settlements: Mapped[int] = mapped_column(default=0)
    low_below: Mapped[MinorUnits | None]
    """Below this the balance is announced as low; as `auto_top_ups` has it, none while off."""


class CreditGrant(TenantTable):
    """Credit that was given; `remaining` falls as entries draw on it."""

    __tablename__ = "credit_grants"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "account_id"],
            ["credit_accounts.organization_id", "credit_accounts.id"],
        ),
        CheckConstraint("amount > 0", name="amount_is_positive"),
        CheckConstraint("remaining between 0 and amount", name="remaining_within_amount"),
        CheckConstraint(f"type in ({_TYPES})", name="type_is_known"),
        Index(
            "ix_credit_grants_left",
            "organization_id",
            "account_id",
            postgresql_where=text("remaining > 0"),
        ),
        Index(
            "ix_credit_grants_lapsing",
            "expires_at",
            postgresql_where=text("remaining > 0 and expires_at is not null"),
        ),
    )

    account_id: Mapped[UUID]
    type: Mapped[str]
    currency: Mapped[CurrencyCode]
    amount: Mapped[MinorUnits]
    remaining: Mapped[MinorUnits]
    expires_at: Mapped[datetime | None]
    granted_at: Mapped[datetime]
    description: Mapped[str | None]
    warned_at: Mapped[datetime | None]

    def to_domain(self) -> domain.Grant:
        return domain.Grant(
            id=self.id,
            type=GrantType(self.type),
            currency=Currency(self.currency),
            amount=self.amount,
            remaining=self.remaining,
            expires_at=self.expires_at,
            granted_at=self.granted_at,
            description=self.description,
        )


class CreditEntry(TenantTable):
    """A line of the ledger. `cause` names what it was written for, where that happens once."""

    __tablename__ = "credit_entries"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "account_id"],
            ["credit_accounts.organization_id", "credit_accounts.id"],
        ),
        UniqueConstraint("organization_id", "cause"),
        CheckConstraint(f"kind in ({_KINDS})", name="kind_is_known"),
        CheckConstraint("(amount > 0) = (kind in ('grant', 'return'))", name="sign_fits_kind"),
        CheckConstraint("amount <> 0", name="amount_is_something"),
    )

    account_id: Mapped[UUID]
    kind: Mapped[str]
    credit_type: Mapped[str | None]
    amount: Mapped[MinorUnits]
    currency: Mapped[CurrencyCode]
    description: Mapped[str | None]
    invoice_id: Mapped[UUID | None] = mapped_column()
    cause: Mapped[str | None]
    actor: Mapped[str]
    created_at: Mapped[datetime]

    def to_domain(self, draws: tuple[Draw, ...]) -> domain.Entry:
        return domain.Entry(
            id=self.id,
            kind=EntryKind(self.kind),
            credit_type=GrantType(self.credit_type) if self.credit_type else None,
            amount=self.amount,
            currency=Currency(self.currency),
            description=self.description,
            invoice_id=self.invoice_id,
            actor=self.actor,
            created_at=self.created_at,
            draws=draws,
        )


class CreditDraw(TenantTable):
    """What an entry took from a grant; negative for what it gave back."""

    __tablename__ = "credit_draws"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "entry_id"],
            ["credit_entries.organization_id", "credit_entries.id"],
        ),
        ForeignKeyConstraint(
            ["organization_id", "grant_id"],
            ["credit_grants.organization_id", "credit_grants.id"],
        ),
        UniqueConstraint("organization_id", "entry_id", "grant_id"),
        Index(None, "organization_id", "grant_id"),
        CheckConstraint("amount <> 0", name="amount_is_something"),
    )

    entry_id: Mapped[UUID]
    grant_id: Mapped[UUID]
    amount: Mapped[MinorUnits]


class AutoTopUpSettings(TenantTable):
    """When an organization's credit is topped up by itself. One row each, off until asked for."""

    __tablename__ = "auto_top_ups"
    __table_args__ = (
        UniqueConstraint("organization_id"),
        CheckConstraint("threshold >= 0", name="threshold_is_not_negative"),
        CheckConstraint("amount > 0", name="amount_is_positive"),
        CheckConstraint("monthly_cap >= amount", name="cap_allows_one"),
        Index(
            "ix_auto_top_ups_on",
            "organization_id",
            postgresql_where=text("is_on"),
        ),
    )

    is_on: Mapped[bool]
    currency: Mapped[CurrencyCode]
    threshold: Mapped[MinorUnits]
    amount: Mapped[MinorUnits]
    monthly_cap: Mapped[MinorUnits]
    failures: Mapped[int]
    """Automatic top-ups in a row that were not paid when they were charged."""
    off_because: Mapped[str | None]
    """Set where it was switched off by itself."""
    capped_in: Mapped[date | None] = mapped_column(Date)
    """The month of which people were told that its cap is reached."""
    changed_at: Mapped[datetime]

    @property
    def terms(self) -> TopUpTerms:
        return TopUpTerms(Currency(self.currency), self.threshold, self.amount, self.monthly_cap)


class TopUp(TenantTable):
    """Credit that is being bought. Its id is the key of every call to Stripe about it."""

    __tablename__ = "credit_top_ups"
    __table_args__ = (
        Index(
            "uq_credit_top_ups_underway",
            "organization_id",
            "kind",
            unique=True,
            postgresql_where=text("state in ('reserved', 'open')"),
        ),
        Index(
            "ix_credit_top_ups_underway",
            "id",
            postgresql_where=text("state in ('reserved', 'open')"),
        ),
        Index(
            "ix_credit_top_ups_month",
            "organization_id",
            "month",
            postgresql_where=text("kind = 'automatic' and state <> 'void'"),
        ),
        CheckConstraint("amount > 0", name="amount_is_positive"),
        CheckConstraint(f"kind in ({_TOP_UP_KINDS})", name="kind_is_known"),
        CheckConstraint(f"state in ({_STATES})", name="state_is_known"),
        CheckConstraint(
            "(state in ('paid', 'void')) = (settled_at is not null)", name="settled_has_its_time"
        ),
        CheckConstraint(
            "(kind = 'automatic') = (monthly_cap is not null)", name="automatic_has_a_cap"
        ),
    )

    kind: Mapped[str]
    state: Mapped[str]
    amount: Mapped[MinorUnits]
    currency: Mapped[CurrencyCode]
    month: Mapped[date] = mapped_column(Date)
    monthly_cap: Mapped[MinorUnits | None]
    """What held when it was reserved."""
    stripe_customer_id: Mapped[str]
    payment_method_id: Mapped[str | None]
    stripe_invoice_id: Mapped[str | None]
    pay_url: Mapped[str | None]
    trouble: Mapped[str | None]
    failed_at: Mapped[datetime | None]
    actor: Mapped[str]
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]

    @property
    def is_automatic(self) -> bool:
        return self.kind == TopUpKind.AUTOMATIC

    @property
    def is_over(self) -> bool:
        return TopUpState(self.state).is_over

    def open(self, stripe_invoice_id: str, pay_url: str | None) -> None:
        """Stripe has an invoice for it; what is over stays over."""
        self.stripe_invoice_id, self.pay_url = stripe_invoice_id, pay_url
        if self.state == TopUpState.RESERVED:
            self.state = TopUpState.OPEN.value

    def settle(self, state: TopUpState, at: datetime, trouble: TopUpTrouble | None = None) -> None:
        """Paid, or void for a reason."""
        self.state, self.settled_at = state.value, at
        if trouble is not None:
            self.trouble = trouble.value
        elif state is TopUpState.PAID:
            self.trouble = None

    def fail(self, trouble: TopUpTrouble, at: datetime) -> None:
        """Nobody paid it when it was charged; it may still be paid."""
        self.trouble, self.failed_at = trouble.value, at

    def to_domain(self) -> domain.TopUp:
        return domain.TopUp(
            id=self.id,
            kind=TopUpKind(self.kind),
            state=TopUpState(self.state),
            amount=self.amount,
            currency=Currency(self.currency),
            pay_url=self.pay_url,
            trouble=TopUpTrouble(self.trouble) if self.trouble else None,
            created_at=self.created_at,
            settled_at=self.settled_at,
        )
