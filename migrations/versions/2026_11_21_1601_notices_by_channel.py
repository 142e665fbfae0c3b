"""A notice knows what it was told for, which way it goes, and when it is tried next."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TABLES = ("notices", "personal_notices")
BEFORE = "'pending', 'sent', 'refused', 'obsolete'"
AFTER = "'pending', 'sent', 'refused', 'exhausted', 'obsolete'"


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("channel", sa.Text(), server_default="mail", nullable=False))
        op.add_column(table, sa.Column("person_id", sa.Uuid()))
        op.add_column(
            table,
            sa.Column("facts", postgresql.JSONB(), server_default="{}", nullable=False),
        )
        op.add_column(table, sa.Column("subject", sa.Text()))
        op.add_column(table, sa.Column("next_attempt_at", sa.DateTime(timezone=True)))
        _allow(table, AFTER)
        op.create_index(
            f"ix_{table}_waiting",
            table,
            ["next_attempt_at"],
            postgresql_where=sa.text("state = 'pending'"),
        )


def downgrade() -> None:
    for table in TABLES:
        op.drop_index(f"ix_{table}_waiting", table_name=table)
        op.execute(f"update {table} set state = 'refused' where state = 'exhausted'")
        _allow(table, BEFORE)
        for column in ("next_attempt_at", "subject", "facts", "person_id", "channel"):
            op.drop_column(table, column)


def _allow(table: str, states: str) -> None:
    name = op.f(f"ck_{table}_state_is_known")
    op.drop_constraint(name, table, type_="check")
    op.create_check_constraint(name, table, f"state in ({states})")
