"""Credit accounts, grants, their ledger and what its entries drew on."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "credit_accounts",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_credit_accounts")),
        sa.UniqueConstraint(
            "organization_id", "currency", name=op.f("uq_credit_accounts_organization_id_currency")
        ),
    )
    op.create_table(
        "credit_entries",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("credit_type", sa.Text(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("invoice_id", sa.Uuid(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(amount > 0) = (kind in ('grant', 'return'))",
            name=op.f("ck_credit_entries_sign_fits_kind"),
        ),
        sa.CheckConstraint(
            "kind in ('grant', 'deduction', 'expiry', 'return')",
            name=op.f("ck_credit_entries_kind_is_known"),
        ),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_credit_entries_amount_is_something")),
        sa.ForeignKeyConstraint(
            ["organization_id", "account_id"],
            ["credit_accounts.organization_id", "credit_accounts.id"],
            name=op.f("fk_credit_entries_organization_id_account_id_credit_accounts"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_credit_entries")),
        sa.UniqueConstraint(
            "organization_id", "cause", name=op.f("uq_credit_entries_organization_id_cause")
        ),
    )
    op.create_table(
        "credit_grants",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("remaining", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("warned_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "type in ('promotional', 'referral', 'adjustment', 'refund', 'purchased')",
            name=op.f("ck_credit_grants_type_is_known"),
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_credit_grants_amount_is_positive")),
        sa.CheckConstraint(
            "remaining between 0 and amount", name=op.f("ck_credit_grants_remaining_within_amount")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "account_id"],
            ["credit_accounts.organization_id", "credit_accounts.id"],
            name=op.f("fk_credit_grants_organization_id_account_id_credit_accounts"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_credit_grants")),
    )
    op.create_index(
        "ix_credit_grants_lapsing",
        "credit_grants",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("remaining > 0 and expires_at is not null"),
    )
    op.create_index(
        "ix_credit_grants_left",
        "credit_grants",
        ["organization_id", "account_id"],
        unique=False,
        postgresql_where=sa.text("remaining > 0"),
    )
    op.create_table(
        "credit_draws",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("grant_id", sa.Uuid(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_credit_draws_amount_is_something")),
        sa.ForeignKeyConstraint(
            ["organization_id", "entry_id"],
            ["credit_entries.organization_id", "credit_entries.id"],
            name=op.f("fk_credit_draws_organization_id_entry_id_credit_entries"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "grant_id"],
            ["credit_grants.organization_id", "credit_grants.id"],
            name=op.f("fk_credit_draws_organization_id_grant_id_credit_grants"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_credit_draws")),
        sa.UniqueConstraint(
            "organization_id",
            "entry_id",
            "grant_id",
            name=op.f("uq_credit_draws_organization_id_entry_id_grant_id"),
        ),
    )
    op.create_index(
        op.f("ix_credit_draws_organization_id_grant_id"),
        "credit_draws",
        ["organization_id", "grant_id"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_index("ix_credit_draws_organization_id_grant_id", table_name="credit_draws")
    op.drop_table("credit_draws")
    op.drop_index("ix_credit_grants_left", table_name="credit_grants")
    op.drop_index("ix_credit_grants_lapsing", table_name="credit_grants")
    op.drop_table("credit_grants")
    op.drop_table("credit_entries")
    op.drop_table("credit_accounts")
