"""Months of events that were exported and dropped."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "usage_archives",
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("portion", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("relation", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("detached_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("manifest", postgresql.JSONB(), nullable=True),
        sa.CheckConstraint(
            "state in ('detached', 'archived')", name=op.f("ck_usage_archives_state_is_known")
        ),
        sa.CheckConstraint(
            "(state = 'archived') = (archived_at is not null and manifest is not null)",
            name=op.f("ck_usage_archives_archived_is_described"),
        ),
        sa.PrimaryKeyConstraint("starts_at", "portion", name=op.f("pk_usage_archives")),
    )


def downgrade() -> None:
    op.drop_table("usage_archives")
