"""What was told of each invoice, trials for good, pauses, manual plans."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    for name, kind in (
        ("trial_started_at", _INSTANT),
        ("trial_told_for", _INSTANT),
        ("end_reason", sa.Text()),
        ("pause_kind", sa.Text()),
        ("pause_reason", sa.Text()),
        ("pause_resumes_at", _INSTANT),
        ("open_invoice_url", sa.Text()),
    ):
        op.add_column("subscriptions", sa.Column(name, kind, nullable=True))
    op.add_column(
        "subscriptions",
        sa.Column("awaits_first_payment", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.alter_column("subscriptions", "awaits_first_payment", server_default=None)
    op.execute("update subscriptions set open_invoice_url = pay_url")
    op.execute(
        "update subscriptions set trial_started_at = created_at, trial_told_for = trial_end"
        " where trial_end is not null"
    )
    op.create_table(
        "invoice_collections",
        sa.Column("stripe_subscription_id", sa.Text(), nullable=False),
        sa.Column("stripe_invoice_id", sa.Text(), nullable=False),
        sa.Column("billing_reason", sa.Text(), nullable=True),
        sa.Column("first_failed_at", _INSTANT, nullable=True),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("pay_url", sa.Text(), nullable=True),
        sa.Column("settled_at", _INSTANT, nullable=True),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_invoice_collections")),
    )
    op.create_index(
        op.f("ix_invoice_collections_organization_id_stripe_invoice_id"),
        "invoice_collections",
        ["organization_id", "stripe_invoice_id"],
        unique=True,
    )
    op.create_index(
        "ix_invoice_collections_unsettled",
        "invoice_collections",
        ["organization_id", "stripe_subscription_id"],
        postgresql_where=sa.text("settled_at is null"),
    )
    op.execute(
        "insert into invoice_collections (organization_id, id, stripe_subscription_id,"
        " stripe_invoice_id, first_failed_at, attempt) select organization_id, id,"
        " stripe_subscription_id, stripe_invoice_id, first_failed_at, 1 from payment_failures"
    )
    op.drop_index(
        op.f("ix_payment_failures_organization_id_stripe_invoice_id"),
        table_name="payment_failures",
    )
    op.drop_table("payment_failures")
    op.add_column("checkout_attempts", sa.Column("stripe_subscription_id", sa.Text()))
    op.add_column(
        "checkout_attempts",
        sa.Column("has_failed", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.alter_column("checkout_attempts", "has_failed", server_default=None)
    op.create_index(
        op.f("ix_customer_registrations_stripe_customer_id"),
        "customer_registrations",
        ["stripe_customer_id"],
    )
    op.create_table(
        "manual_plans",
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("granted_by", sa.Uuid(), nullable=False),
        sa.Column("granted_at", _INSTANT, nullable=False),
        sa.Column("ends_at", _INSTANT, nullable=False),
        sa.Column("withdrawn_at", _INSTANT, nullable=True),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("granted_at < ends_at", name=op.f("ck_manual_plans_ends_later")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_manual_plans")),
    )


def downgrade() -> None:
    op.drop_table("manual_plans")
    op.drop_index(
        op.f("ix_customer_registrations_stripe_customer_id"), table_name="customer_registrations"
    )
    op.drop_column("checkout_attempts", "has_failed")
    op.drop_column("checkout_attempts", "stripe_subscription_id")
    op.create_table(
        "payment_failures",
        sa.Column("stripe_subscription_id", sa.Text(), nullable=False),
        sa.Column("stripe_invoice_id", sa.Text(), nullable=False),
        sa.Column("first_failed_at", _INSTANT, nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_payment_failures")),
    )
    op.create_index(
        op.f("ix_payment_failures_organization_id_stripe_invoice_id"),
        "payment_failures",
        ["organization_id", "stripe_invoice_id"],
        unique=True,
    )
    op.execute(
        "insert into payment_failures (organization_id, id, stripe_subscription_id,"
        " stripe_invoice_id, first_failed_at) select organization_id, id,"
        " stripe_subscription_id, stripe_invoice_id, first_failed_at from invoice_collections"
        " where first_failed_at is not null and settled_at is null"
    )
    op.drop_index("ix_invoice_collections_unsettled", table_name="invoice_collections")
    op.drop_index(
        op.f("ix_invoice_collections_organization_id_stripe_invoice_id"),
        table_name="invoice_collections",
    )
    op.drop_table("invoice_collections")
    for name in (
        "awaits_first_payment",
        "open_invoice_url",
        "pause_resumes_at",
        "pause_reason",
        "pause_kind",
        "end_reason",
        "trial_told_for",
        "trial_started_at",
    ):
        op.drop_column("subscriptions", name)
