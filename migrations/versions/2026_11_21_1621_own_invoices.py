"""Invoices of our own: terms, billed windows, details, credit notes, payments."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "billed_windows",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("window_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("catalog_version", sa.Uuid(), nullable=True),
        sa.Column("at_cost", sa.Boolean(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("rated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "window_start", name=op.f("pk_billed_windows")),
    )
    op.create_table(
        "billing_details",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("legal_name", sa.Text(), nullable=True),
        sa.Column("address", postgresql.JSONB(), nullable=False),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("tax_id", sa.Text(), nullable=True),
        sa.Column("tax_rate", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("collection", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "collection in ('stripe', 'transfer')",
            name=op.f("ck_billing_details_collection_is_known"),
        ),
        sa.CheckConstraint(
            "tax_rate between 0 and 1", name=op.f("ck_billing_details_tax_rate_is_a_share")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_billing_details")),
        sa.UniqueConstraint("organization_id", name=op.f("uq_billing_details_organization_id")),
    )
    op.create_table(
        "credit_notes",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("settlement", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.Column("tax", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("refund_reference", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "kind in ('correction', 'goodwill')", name=op.f("ck_credit_notes_kind_is_known")
        ),
        sa.CheckConstraint(
            "settlement in ('reduction', 'credit', 'refund')",
            name=op.f("ck_credit_notes_settlement_is_known"),
        ),
        sa.CheckConstraint(
            "total = net + tax and total > 0", name=op.f("ck_credit_notes_total_adds_up")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "invoice_id"],
            ["invoices.organization_id", "invoices.id"],
            name=op.f("fk_credit_notes_organization_id_invoice_id_invoices"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_credit_notes")),
        sa.UniqueConstraint(
            "organization_id", "number", name=op.f("uq_credit_notes_organization_id_number")
        ),
    )
    op.create_index(
        op.f("ix_credit_notes_organization_id_invoice_id"),
        "credit_notes",
        ["organization_id", "invoice_id"],
        unique=False,
    )
    op.create_table(
        "invoice_payments",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "method in ('stripe', 'transfer')", name=op.f("ck_invoice_payments_method_is_known")
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_invoice_payments_amount_is_positive")),
        sa.ForeignKeyConstraint(
            ["organization_id", "invoice_id"],
            ["invoices.organization_id", "invoices.id"],
            name=op.f("fk_invoice_payments_organization_id_invoice_id_invoices"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_invoice_payments")),
    )
    op.create_index(
        op.f("ix_invoice_payments_organization_id_invoice_id"),
        "invoice_payments",
        ["organization_id", "invoice_id"],
        unique=False,
    )
    op.create_table(
        "own_invoices",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("catalog_version", sa.Uuid(), nullable=True),
        sa.Column("with_fee", sa.Boolean(), nullable=False),
        sa.Column("at_cost", sa.Boolean(), nullable=False),
        sa.Column("rounding", sa.Text(), nullable=False),
        sa.Column("tax_rate", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("taxes", postgresql.JSONB(), nullable=False),
        sa.Column("discounts", postgresql.JSONB(), nullable=False),
        sa.Column("notes", postgresql.JSONB(), nullable=False),
        sa.Column("collection", sa.Text(), nullable=False),
        sa.Column("finalize_after", sa.DateTime(timezone=True), nullable=False),
        sa.Column("credit_applied", sa.BigInteger(), nullable=False),
        sa.Column("credit_entries", postgresql.JSONB(), nullable=False),
        sa.Column("creditable", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "credit_applied >= 0", name=op.f("ck_own_invoices_credit_is_not_negative")
        ),
        sa.CheckConstraint(
            "creditable >= 0", name=op.f("ck_own_invoices_credit_notes_are_within_it")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "id"],
            ["invoices.organization_id", "invoices.id"],
            name=op.f("fk_own_invoices_organization_id_id_invoices"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_own_invoices")),
    )
    op.create_index(
        op.f("ix_own_invoices_finalize_after"), "own_invoices", ["finalize_after"], unique=False
    )
    op.create_table(
        "credit_note_lines",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("credit_note_id", sa.Uuid(), nullable=False),
        sa.Column("line_id", sa.Uuid(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.Column("tax", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "credit_note_id"],
            ["credit_notes.organization_id", "credit_notes.id"],
            name=op.f("fk_credit_note_lines_organization_id_credit_note_id_credit_notes"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "line_id"],
            ["invoice_lines.organization_id", "invoice_lines.id"],
            name=op.f("fk_credit_note_lines_organization_id_line_id_invoice_lines"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_credit_note_lines")),
        sa.UniqueConstraint(
            "organization_id",
            "credit_note_id",
            "line_id",
            name=op.f("uq_credit_note_lines_organization_id_credit_note_id_line_id"),
        ),
    )
    op.add_column("invoice_lines", sa.Column("kind", sa.Text(), nullable=True))
    op.add_column("invoice_lines", sa.Column("key", sa.Text(), nullable=True))
    op.add_column(
        "invoice_lines", sa.Column("window_start", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column(
        "invoice_lines", sa.Column("unit_amount", sa.Numeric(precision=38, scale=12), nullable=True)
    )
    op.add_column(
        "invoice_lines",
        sa.Column("exact_amount", sa.Numeric(precision=60, scale=30), nullable=True),
    )
    op.add_column(
        "invoice_lines", sa.Column("discount", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.add_column(
        "invoice_lines", sa.Column("tax", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.add_column("invoice_lines", sa.Column("trace", postgresql.JSONB(), nullable=True))
    op.alter_column(
        "invoice_lines",
        "quantity",
        existing_type=sa.BIGINT(),
        type_=sa.Numeric(precision=38, scale=12),
        existing_nullable=True,
    )
    op.create_index(op.f("ix_invoices_id"), "invoices", ["id"], unique=False)
    op.create_index(
        "uq_invoices_window",
        "invoices",
        ["organization_id", "period_start"],
        unique=True,
        postgresql_where=sa.text(
            "origin = 'own' and billing_reason = 'usage' and status <> 'void'"
        ),
    )
    op.alter_column("invoice_lines", "discount", server_default=None)
    op.alter_column("invoice_lines", "tax", server_default=None)


def downgrade() -> None:
    op.drop_index(
        "uq_invoices_window",
        table_name="invoices",
        postgresql_where=sa.text(
            "origin = 'own' and billing_reason = 'usage' and status <> 'void'"
        ),
    )
    op.drop_index(op.f("ix_invoices_id"), table_name="invoices")
    op.alter_column(
        "invoice_lines",
        "quantity",
        existing_type=sa.Numeric(precision=38, scale=12),
        type_=sa.BIGINT(),
        existing_nullable=True,
    )
    op.drop_column("invoice_lines", "trace")
    op.drop_column("invoice_lines", "tax")
    op.drop_column("invoice_lines", "discount")
    op.drop_column("invoice_lines", "exact_amount")
    op.drop_column("invoice_lines", "unit_amount")
    op.drop_column("invoice_lines", "window_start")
    op.drop_column("invoice_lines", "key")
    op.drop_column("invoice_lines", "kind")
    op.drop_table("credit_note_lines")
    op.drop_index(op.f("ix_own_invoices_finalize_after"), table_name="own_invoices")
    op.drop_table("own_invoices")
    op.drop_index(
        op.f("ix_invoice_payments_organization_id_invoice_id"), table_name="invoice_payments"
    )
    op.drop_table("invoice_payments")
    op.drop_index(op.f("ix_credit_notes_organization_id_invoice_id"), table_name="credit_notes")
    op.drop_table("credit_notes")
    op.drop_table("billing_details")
    op.drop_table("billed_windows")
