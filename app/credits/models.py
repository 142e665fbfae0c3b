"""Accounts, grants, the ledger, and which grants its entries drew on."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.credits import domain
from app.credits.domain import Draw, EntryKind, GrantType
from app.infra.db.base import TenantTable
from app.infra.db.types import CurrencyCode, MinorUnits
from app.kernel.money import Currency

_TYPES = ", ".join(f"'{kind.value}'" for kind in GrantType)
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
