"""The digest of an event's content is kept in 16 fixed bytes, and usage is written by columns."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "alter table usage_keys alter column payload_hash type uuid"
        " using encode(payload_hash, 'hex')::uuid"
    )


def downgrade() -> None:
    op.execute(
        "alter table usage_keys alter column payload_hash type bytea using uuid_send(payload_hash)"
    )
