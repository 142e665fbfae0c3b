"""Feeds of what was recorded, and the sinks that they go to."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "usage_feeds",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_usage_feeds")),
    )
    op.create_table(
        "usage_notes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("organization_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("event_ids", postgresql.ARRAY(sa.Uuid()), nullable=True),
        sa.Column("months", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_notes")),
    )
    op.create_index("ix_usage_notes_feed", "usage_notes", ["feed", "id"])
    op.create_table(
        "sinks",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("last_failure", sa.Text(), nullable=True),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_sinks")),
    )
    op.create_table(
        "sink_dead_letters",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("sink", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "id", "sink", name=op.f("pk_sink_dead_letters")),
    )


def downgrade() -> None:
    for feed in ("lago", "redis"):
        op.execute(f"drop trigger if exists usage_feed_{feed} on usage_keys")
        for when in ("insert", "update"):
            op.execute(f"drop trigger if exists usage_feed_{feed}_{when} on usage_monthly")
    op.execute("drop function if exists usage_note_events")
    op.execute("drop function if exists usage_note_months")
    for table in ("sink_dead_letters", "sinks", "usage_notes", "usage_feeds"):
        op.drop_table(table)
