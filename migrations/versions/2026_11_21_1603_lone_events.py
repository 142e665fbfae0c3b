"""A lone event is written by a function of its own."""

from alembic import op

from app.usage.ddl import install

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    install(op.get_bind().exec_driver_sql)


def downgrade() -> None:
    op.execute("drop function if exists usage_record_one")
