"""Usage names the API key it came through and the reservation it settles."""

import sqlalchemy as sa
from alembic import op

from app.usage.ddl import uninstall

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("usage_events", sa.Column("api_key_id", sa.Uuid(), nullable=True))
    op.add_column("usage_events", sa.Column("reservation_id", sa.Uuid(), nullable=True))


def downgrade() -> None:
    uninstall(op.get_bind().exec_driver_sql)
    op.drop_column("usage_events", "reservation_id")
    op.drop_column("usage_events", "api_key_id")
