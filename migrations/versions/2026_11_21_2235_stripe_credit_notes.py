"""Credit notes that were made at Stripe; which look at one of its invoices was the last."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("invoices", sa.Column("credited_before", sa.BigInteger(), nullable=True))
    op.add_column("invoices", sa.Column("applied_ticket", sa.BigInteger(), nullable=True))
    op.create_table(
        "stripe_credit_notes",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.Column("stripe_credit_note_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("memo", sa.Text(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("tax", sa.BigInteger(), nullable=False),
        sa.Column("before_payment", sa.BigInteger(), nullable=False),
        sa.Column("to_balance", sa.BigInteger(), nullable=False),
        sa.Column("by_hand", sa.BigInteger(), nullable=False),
        sa.Column("refunds", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("lines", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("voided_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id", "invoice_id"],
            ["invoices.organization_id", "invoices.id"],
            name=op.f("fk_stripe_credit_notes_organization_id_invoice_id_invoices"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_stripe_credit_notes")),
        sa.UniqueConstraint(
            "organization_id",
            "stripe_credit_note_id",
            name=op.f("uq_stripe_credit_notes_organization_id_stripe_credit_note_id"),
        ),
    )
    op.create_index(
        op.f("ix_stripe_credit_notes_organization_id_invoice_id"),
        "stripe_credit_notes",
        ["organization_id", "invoice_id"],
    )


def downgrade() -> None:
    op.drop_table("stripe_credit_notes")
    op.drop_column("invoices", "applied_ticket")
    op.drop_column("invoices", "credited_before")
