"""Charges, refunds and disputes, and the flag of an organization that has one."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def _tenant() -> list[sa.Column]:
    return [
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
    ]


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("payment_sync_tickets")))
    op.add_column(
        "organizations",
        sa.Column("is_disputed", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.alter_column("organizations", "is_disputed", server_default=None)
    op.create_table(
        "charges",
        *_tenant(),
        sa.Column("stripe_charge_id", sa.Text(), nullable=False),
        sa.Column("stripe_payment_intent_id", sa.Text(), nullable=True),
        sa.Column("stripe_invoice_id", sa.Text(), nullable=True),
        sa.Column("stripe_customer_id", sa.Text(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("amount_refunded", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("is_disputed", sa.Boolean(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("failure_code", sa.Text(), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("applied_ticket", sa.BigInteger(), nullable=False),
        sa.Column("synced_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_charges_amount_is_no_debt")),
        sa.CheckConstraint(
            "amount_refunded between 0 and amount", name=op.f("ck_charges_no_more_back_than_in")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_charges")),
    )
    op.create_index(
        op.f("ix_charges_organization_id_stripe_charge_id"),
        "charges",
        ["organization_id", "stripe_charge_id"],
        unique=True,
    )
    op.create_index(
        op.f("ix_charges_organization_id_stripe_invoice_id"),
        "charges",
        ["organization_id", "stripe_invoice_id"],
    )
    op.create_index(op.f("ix_charges_created_at_id"), "charges", ["created_at", "id"])
    op.create_table(
        "refunds",
        *_tenant(),
        sa.Column("charge_id", sa.Uuid(), nullable=False),
        sa.Column("stripe_refund_id", sa.Text(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("failure_reason", sa.Text(), nullable=True),
        sa.Column("requested_by", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("amount > 0", name=op.f("ck_refunds_amount_is_positive")),
        sa.CheckConstraint(
            "(stripe_refund_id is null) = (status in ('requested', 'refused'))",
            name=op.f("ck_refunds_stripe_has_an_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "charge_id"],
            ["charges.organization_id", "charges.id"],
            name=op.f("fk_refunds_organization_id_charge_id_charges"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_refunds")),
    )
    op.create_index(
        op.f("ix_refunds_organization_id_stripe_refund_id"),
        "refunds",
        ["organization_id", "stripe_refund_id"],
        unique=True,
    )
    op.create_index(
        op.f("ix_refunds_organization_id_charge_id"), "refunds", ["organization_id", "charge_id"]
    )
    op.create_index(op.f("ix_refunds_id"), "refunds", ["id"])
    op.create_index(
        "ix_refunds_requested",
        "refunds",
        ["next_attempt_at"],
        postgresql_where=sa.text("status = 'requested'"),
    )
    op.create_table(
        "disputes",
        *_tenant(),
        sa.Column("charge_id", sa.Uuid(), nullable=False),
        sa.Column("stripe_dispute_id", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("is_charge_refundable", sa.Boolean(), nullable=False),
        sa.Column("respond_by", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("has_suspended", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "charge_id"],
            ["charges.organization_id", "charges.id"],
            name=op.f("fk_disputes_organization_id_charge_id_charges"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_disputes")),
    )
    op.create_index(
        op.f("ix_disputes_organization_id_stripe_dispute_id"),
        "disputes",
        ["organization_id", "stripe_dispute_id"],
        unique=True,
    )
    op.create_index(
        op.f("ix_disputes_organization_id_charge_id"),
        "disputes",
        ["organization_id", "charge_id"],
    )
    op.create_index(op.f("ix_disputes_id"), "disputes", ["id"])


def downgrade() -> None:
    for table in ("disputes", "refunds", "charges"):
        op.drop_table(table)
    op.drop_column("organizations", "is_disputed")
    op.execute(sa.schema.DropSequence(sa.Sequence("payment_sync_tickets")))
