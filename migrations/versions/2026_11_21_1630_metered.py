"""Metered billing: who is metered, which events were told together, what Stripe was told."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "metered_enrolments",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("stripe_customer_id", sa.Text(), nullable=False),
        sa.Column("prices", postgresql.JSONB(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("since <= until", name=op.f("ck_metered_enrolments_stretch_is_forward")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_metered_enrolments")),
    )
    op.create_index(
        "uq_metered_enrolments_open",
        "metered_enrolments",
        ["organization_id"],
        unique=True,
        postgresql_where=sa.text("until is null"),
    )
    op.create_table(
        "metered_portions",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("collected_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_metered_portions")),
    )
    op.create_index(
        op.f("ix_metered_portions_organization_id_hour"),
        "metered_portions",
        ["organization_id", "hour"],
        unique=False,
    )
    op.create_table(
        "metered_batches",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("portion_id", sa.Uuid(), nullable=True),
        sa.Column("corrects_event_id", sa.Uuid(), nullable=True),
        sa.Column("replaces", sa.Uuid(), nullable=True),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("stripe_price_id", sa.Text(), nullable=False),
        sa.Column("stripe_customer_id", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_as", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("first_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state in ('pending', 'sent', 'rejected', 'refused', 'too_old', 'uncertain')",
            name=op.f("ck_metered_batches_state_is_known"),
        ),
        sa.CheckConstraint("quantity <> 0", name=op.f("ck_metered_batches_quantity_is_something")),
        sa.ForeignKeyConstraint(
            ["organization_id", "portion_id"],
            ["metered_portions.organization_id", "metered_portions.id"],
            name=op.f("fk_metered_batches_organization_id_portion_id_metered_portions"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_metered_batches")),
    )
    op.create_index(op.f("ix_metered_batches_id"), "metered_batches", ["id"], unique=False)
    op.create_index(
        op.f("ix_metered_batches_organization_id_occurred_at"),
        "metered_batches",
        ["organization_id", "occurred_at"],
        unique=False,
    )
    op.create_index(
        "ix_metered_batches_pending",
        "metered_batches",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "uq_metered_batches_correction",
        "metered_batches",
        ["organization_id", "corrects_event_id", "metric"],
        unique=True,
        postgresql_where=sa.text("replaces is null"),
    )
    op.create_index(
        "uq_metered_batches_replaces",
        "metered_batches",
        ["organization_id", "replaces"],
        unique=True,
    )


def downgrade() -> None:
    op.execute("drop trigger if exists usage_feed_stripe on usage_keys")
    for table in ("metered_batches", "metered_portions", "metered_enrolments"):
        op.drop_table(table)
