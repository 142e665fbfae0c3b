"""Requests at Stripe to pay invoices of our own."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "invoice_requests",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("stripe_customer_id", sa.Text(), nullable=False),
        sa.Column("payment_method_id", sa.Text(), nullable=True),
        sa.Column("stripe_invoice_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_invoice_requests_amount_is_positive")),
        sa.CheckConstraint(
            "state in ('reserved', 'open', 'paid', 'void')",
            name=op.f("ck_invoice_requests_state_is_known"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "invoice_id"],
            ["invoices.organization_id", "invoices.id"],
            name=op.f("fk_invoice_requests_organization_id_invoice_id_invoices"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_invoice_requests")),
        sa.UniqueConstraint(
            "organization_id",
            "invoice_id",
            name=op.f("uq_invoice_requests_organization_id_invoice_id"),
        ),
    )


def downgrade() -> None:
    op.drop_table("invoice_requests")
