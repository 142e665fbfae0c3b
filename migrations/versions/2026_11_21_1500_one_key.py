"""Whether a key is known is asked of its index, however many there are."""

from alembic import op

from app.usage.ddl import install

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    install(op.get_bind().exec_driver_sql)


def downgrade() -> None:
    """The functions stay: the older one did the same, slower."""
