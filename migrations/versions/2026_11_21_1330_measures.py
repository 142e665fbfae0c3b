"""Limits on what is no sum: the largest value, the latest, how many different ones."""

from alembic import op

from app.usage.ddl import install

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    install(op.get_bind().exec_driver_sql)


def downgrade() -> None:
    pass
