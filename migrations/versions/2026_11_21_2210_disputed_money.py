"""When a dispute took its amount, and when that came back."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("withdrawn_at", "reinstated_at"):
        op.add_column("disputes", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    # Stripe takes the amount when it opens a dispute. One that was won is whole again: neither.
    op.execute("""
        update disputes set withdrawn_at = opened_at
        where status in ('needs_response', 'under_review', 'lost')
    """)


def downgrade() -> None:
    op.drop_column("disputes", "reinstated_at")
    op.drop_column("disputes", "withdrawn_at")
