"""What hinders the payment of invoices of our own."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("own_invoices", sa.Column("payment_problem", sa.Text(), nullable=True))
    op.add_column(
        "invoice_requests",
        sa.Column("attempt", sa.BigInteger(), nullable=False, server_default="-1"),
    )
    op.alter_column("invoice_requests", "attempt", server_default=None)
    op.alter_column("recovery_steps", "subscription_id", nullable=True)


def downgrade() -> None:
    op.execute("delete from recovery_steps where subscription_id is null")
    op.alter_column("recovery_steps", "subscription_id", nullable=False)
    op.drop_column("invoice_requests", "attempt")
    op.drop_column("own_invoices", "payment_problem")
