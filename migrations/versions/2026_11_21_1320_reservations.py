"""Reservations: what is held for a call that is about to be made."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.usage.ddl import install, uninstall

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_AMOUNTS = postgresql.ARRAY(sa.Numeric())


def upgrade() -> None:
    op.create_table(
        "reservations",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("path", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=True),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("names", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("granted", _AMOUNTS, nullable=False),
        sa.Column("remaining", _AMOUNTS, nullable=False),
        sa.Column("returned", _AMOUNTS, nullable=False),
        sa.Column("committed", _AMOUNTS, nullable=False),
        sa.Column("overshoot", _AMOUNTS, nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("limit_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("limit_scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("period_starts", postgresql.ARRAY(sa.DateTime(timezone=True)), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("api_key_id", sa.Uuid(), nullable=True),
        sa.Column("debate_id", sa.Text(), nullable=True),
        sa.Column("agent", sa.Text(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("request_key", sa.Uuid(), nullable=True),
        sa.Column("request_hash", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state in ('held', 'committed', 'released', 'expired')",
            name=op.f("ck_reservations_state_is_known"),
        ),
        sa.CheckConstraint(
            "0 <= all (remaining)", name=op.f("ck_reservations_remaining_not_negative")
        ),
        sa.CheckConstraint(
            "state = 'held' or 0 = all (remaining)",
            name=op.f("ck_reservations_nothing_remains_at_the_end"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "parent_id"],
            ["reservations.organization_id", "reservations.id"],
            name=op.f("fk_reservations_organization_id_parent_id_reservations"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_reservations")),
    )
    op.create_index(
        "uq_reservations_request_key",
        "reservations",
        ["organization_id", "request_key"],
        unique=True,
        postgresql_where=sa.text("request_key is not null"),
    )
    op.create_index(
        "ix_reservations_overdue",
        "reservations",
        ["expires_at"],
        postgresql_where=sa.text("state = 'held'"),
    )
    install(op.get_bind().exec_driver_sql)


def downgrade() -> None:
    uninstall(op.get_bind().exec_driver_sql)
    op.drop_table("reservations")
