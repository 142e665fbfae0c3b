"""What the discounts on Stripe's invoices are called, and what each took off."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("invoices", sa.Column("mirrored_discounts", JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("invoices", "mirrored_discounts")
