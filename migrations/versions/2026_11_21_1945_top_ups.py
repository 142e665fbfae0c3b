"""Credit that is bought: top-ups, and when they happen by themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

UNDERWAY = sa.text("state in ('reserved', 'open')")


def upgrade() -> None:
    op.add_column("credit_accounts", sa.Column("low_below", sa.BigInteger(), nullable=True))
    op.create_table(
        "auto_top_ups",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("is_on", sa.Boolean(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("threshold", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("monthly_cap", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("off_because", sa.Text(), nullable=True),
        sa.Column("capped_in", sa.Date(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_auto_top_ups_amount_is_positive")),
        sa.CheckConstraint("monthly_cap >= amount", name=op.f("ck_auto_top_ups_cap_allows_one")),
        sa.CheckConstraint(
            "threshold >= 0", name=op.f("ck_auto_top_ups_threshold_is_not_negative")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_auto_top_ups")),
        sa.UniqueConstraint("organization_id", name=op.f("uq_auto_top_ups_organization_id")),
    )
    op.create_index(
        "ix_auto_top_ups_on", "auto_top_ups", ["organization_id"], postgresql_where=sa.text("is_on")
    )
    op.create_table(
        "credit_top_ups",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("monthly_cap", sa.BigInteger(), nullable=True),
        sa.Column("stripe_customer_id", sa.Text(), nullable=False),
        sa.Column("payment_method_id", sa.Text(), nullable=True),
        sa.Column("stripe_invoice_id", sa.Text(), nullable=True),
        sa.Column("pay_url", sa.Text(), nullable=True),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("amount > 0", name=op.f("ck_credit_top_ups_amount_is_positive")),
        sa.CheckConstraint(
            "kind in ('automatic', 'manual')", name=op.f("ck_credit_top_ups_kind_is_known")
        ),
        sa.CheckConstraint(
            "state in ('reserved', 'open', 'paid', 'void')",
            name=op.f("ck_credit_top_ups_state_is_known"),
        ),
        sa.CheckConstraint(
            "(state in ('paid', 'void')) = (settled_at is not null)",
            name=op.f("ck_credit_top_ups_settled_has_its_time"),
        ),
        sa.CheckConstraint(
            "(kind = 'automatic') = (monthly_cap is not null)",
            name=op.f("ck_credit_top_ups_automatic_has_a_cap"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_credit_top_ups")),
    )
    op.create_index(
        "uq_credit_top_ups_underway",
        "credit_top_ups",
        ["organization_id", "kind"],
        unique=True,
        postgresql_where=UNDERWAY,
    )
    op.create_index(
        "ix_credit_top_ups_underway", "credit_top_ups", ["id"], postgresql_where=UNDERWAY
    )
    op.create_index(
        "ix_credit_top_ups_month",
        "credit_top_ups",
        ["organization_id", "month"],
        postgresql_where=sa.text("kind = 'automatic' and state <> 'void'"),
    )


def downgrade() -> None:
    op.drop_table("credit_top_ups")
    op.drop_table("auto_top_ups")
    op.drop_column("credit_accounts", "low_below")
