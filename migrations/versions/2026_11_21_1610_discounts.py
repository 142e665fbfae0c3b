"""Promo codes, who used them, and what each use took off."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "promo_codes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("code_key", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("percent", sa.Numeric(precision=9, scale=6), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("max_uses", sa.BigInteger(), nullable=True),
        sa.Column("max_uses_per_org", sa.BigInteger(), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("plans", postgresql.JSONB(), nullable=False),
        sa.Column("minimum_amount", sa.BigInteger(), nullable=True),
        sa.Column("minimum_currency", sa.String(length=3), nullable=True),
        sa.Column("periods", sa.BigInteger(), nullable=True),
        sa.Column("uses", sa.BigInteger(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("stripe_coupon_id", sa.Text(), nullable=True),
        sa.Column("stripe_promotion_code_id", sa.Text(), nullable=True),
        sa.Column("stripe_is_active", sa.Boolean(), nullable=True),
        sa.CheckConstraint(
            "(percent is null) <> (amount is null)", name=op.f("ck_promo_codes_one_kind")
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_promo_codes_amount_is_positive")),
        sa.CheckConstraint(
            "percent > 0 and percent <= 100", name=op.f("ck_promo_codes_percent_is_a_share")
        ),
        sa.CheckConstraint(
            "uses >= 0 and uses <= max_uses", name=op.f("ck_promo_codes_uses_within_limit")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promo_codes")),
        sa.UniqueConstraint("code_key", name=op.f("uq_promo_codes_code_key")),
    )
    op.create_table(
        "promo_redemptions",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("promo_code_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("purchase_amount", sa.BigInteger(), nullable=True),
        sa.Column("discount_amount", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("periods", sa.Integer(), nullable=True),
        sa.Column("periods_used", sa.Integer(), nullable=False),
        sa.Column("redeemed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "channel in ('invoice', 'stripe')", name=op.f("ck_promo_redemptions_channel_is_known")
        ),
        sa.CheckConstraint(
            "state in ('held', 'active', 'released')",
            name=op.f("ck_promo_redemptions_state_is_known"),
        ),
        sa.CheckConstraint(
            "periods_used >= 0 and periods_used <= periods",
            name=op.f("ck_promo_redemptions_periods_in_limit"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_promo_redemptions")),
        sa.UniqueConstraint(
            "organization_id",
            "promo_code_id",
            "cause",
            name=op.f("uq_promo_redemptions_organization_id_promo_code_id_cause"),
        ),
    )
    op.create_index(
        op.f("ix_promo_redemptions_promo_code_id"),
        "promo_redemptions",
        ["promo_code_id"],
        unique=False,
    )
    op.create_table(
        "promo_discounted_invoices",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "redemption_id"],
            ["promo_redemptions.organization_id", "promo_redemptions.id"],
            name=op.f(
                "fk_promo_discounted_invoices_organization_id_redemption_id_promo_redemptions"
            ),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_promo_discounted_invoices")),
        sa.UniqueConstraint(
            "organization_id",
            "invoice_id",
            "redemption_id",
            name=op.f("uq_promo_discounted_invoices_organization_id_invoice_id_redemption_id"),
        ),
    )


def downgrade() -> None:
    op.drop_table("promo_discounted_invoices")
    op.drop_index("ix_promo_redemptions_promo_code_id", table_name="promo_redemptions")
    op.drop_table("promo_redemptions")
    op.drop_table("promo_codes")
