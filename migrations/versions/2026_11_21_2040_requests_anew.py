"""A request at Stripe may be followed by another, over what is left to pay."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

_STATE = "ck_invoice_requests_state_is_known"
_ONE_EACH = "uq_invoice_requests_organization_id_invoice_id"


def upgrade() -> None:
    op.add_column(
        "invoice_requests",
        sa.Column("surplus", sa.BigInteger(), nullable=False, server_default="0"),
    )
    op.alter_column("invoice_requests", "surplus", server_default=None)
    op.create_check_constraint(
        op.f("ck_invoice_requests_surplus_is_not_negative"), "invoice_requests", "surplus >= 0"
    )
    op.drop_constraint(op.f(_STATE), "invoice_requests")
    op.create_check_constraint(
        op.f(_STATE),
        "invoice_requests",
        "state in ('reserved', 'open', 'stopping', 'stopped', 'paid', 'void')",
    )
    op.drop_constraint(op.f(_ONE_EACH), "invoice_requests")
    op.create_index(
        op.f("ix_invoice_requests_organization_id_invoice_id"),
        "invoice_requests",
        ["organization_id", "invoice_id"],
    )
    op.create_index(
        "uq_invoice_requests_asking",
        "invoice_requests",
        ["organization_id", "invoice_id"],
        unique=True,
        postgresql_where=sa.text("state in ('reserved', 'open')"),
    )


def downgrade() -> None:
    # Of several only the one that counts can stay, and only in a state that was known then.
    op.execute("""
        delete from invoice_requests q using invoice_requests other
        where other.organization_id = q.organization_id and other.invoice_id = q.invoice_id
            and (other.state = 'paid', other.created_at, other.id)
                > (q.state = 'paid', q.created_at, q.id)
    """)
    op.execute("update invoice_requests set state = 'open' where state = 'stopping'")
    op.execute("update invoice_requests set state = 'void' where state = 'stopped'")
    op.drop_index("uq_invoice_requests_asking", "invoice_requests")
    op.drop_index(op.f("ix_invoice_requests_organization_id_invoice_id"), "invoice_requests")
    op.create_unique_constraint(
        op.f(_ONE_EACH), "invoice_requests", ["organization_id", "invoice_id"]
    )
    op.drop_constraint(op.f(_STATE), "invoice_requests")
    op.create_check_constraint(
        op.f(_STATE), "invoice_requests", "state in ('reserved', 'open', 'paid', 'void')"
    )
    op.drop_constraint(op.f("ck_invoice_requests_surplus_is_not_negative"), "invoice_requests")
    op.drop_column("invoice_requests", "surplus")
