"""Proofs of invoices, chained beside the counters of their numbers."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("invoice_number_counters", sa.Column("last_hash", sa.Text(), nullable=True))
    op.create_table(
        "invoice_proofs",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seller", sa.Text(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("previous_hash", sa.Text(), nullable=True),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "id"],
            ["invoices.organization_id", "invoices.id"],
            name=op.f("fk_invoice_proofs_organization_id_id_invoices"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_invoice_proofs")),
    )
    op.create_index(
        op.f("ix_invoice_proofs_seller_year_place"), "invoice_proofs", ["seller", "year", "place"]
    )


def downgrade() -> None:
    op.drop_table("invoice_proofs")
    op.drop_column("invoice_number_counters", "last_hash")
