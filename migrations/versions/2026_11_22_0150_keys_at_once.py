"""Recording adds keys without asking for each first, and takes events from arrays."""

from alembic import op

from app.usage.ddl import install

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    install(op.get_bind().exec_driver_sql)


def downgrade() -> None:
    # The function keeps its signature and what it promises.
    pass
