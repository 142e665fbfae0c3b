"""Limits on spending, who may pass them, and what their periods have seen."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.usage.ddl import uninstall

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCOPES = "'organization', 'workspace', 'user', 'api_key', 'debate', 'model'"
PERIODS = "'daily', 'weekly', 'monthly', 'quarterly', 'yearly', 'total'"


def upgrade() -> None:
    op.create_table(
        "spend_limits",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("amount_usd", sa.Numeric(38, 18), nullable=False),
        sa.Column("soft_usd", sa.Numeric(38, 18), nullable=True),
        sa.Column("hard_usd", sa.Numeric(38, 18), nullable=True),
        sa.Column("thresholds", postgresql.ARRAY(sa.Numeric(9, 6)), nullable=False),
        sa.Column("auto_suspend", sa.Boolean(), nullable=False),
        sa.Column("suspended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("suspended_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("counts_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.CheckConstraint(f"scope in ({SCOPES})", name=op.f("ck_spend_limits_scope_is_known")),
        sa.CheckConstraint(f"period in ({PERIODS})", name=op.f("ck_spend_limits_period_is_known")),
        sa.CheckConstraint("amount_usd >= 0", name=op.f("ck_spend_limits_amount_not_negative")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_spend_limits")),
    )
    op.create_index(
        "ix_spend_limits_subject", "spend_limits", ["organization_id", "scope", "subject"]
    )
    op.create_table(
        "spend_overrides",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("limit_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "limit_id"],
            ["spend_limits.organization_id", "spend_limits.id"],
            name=op.f("fk_spend_overrides_organization_id_limit_id_spend_limits"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_spend_overrides")),
    )
    op.create_index(
        "ix_spend_overrides_limit_id", "spend_overrides", ["organization_id", "limit_id"]
    )
    op.create_table(
        "spend",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("limit_id", sa.Uuid(), nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("posted", sa.Numeric(38, 18), nullable=False),
        sa.Column("held", sa.Numeric(38, 18), nullable=False),
        sa.Column("announced", sa.Numeric(9, 6), nullable=False),
        sa.Column("reached_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("held >= 0", name=op.f("ck_spend_held_not_negative")),
        sa.PrimaryKeyConstraint(
            "organization_id", "limit_id", "period_start", name=op.f("pk_spend")
        ),
    )


def downgrade() -> None:
    uninstall(op.get_bind().exec_driver_sql)
    op.drop_table("spend")
    op.drop_index("ix_spend_overrides_limit_id", table_name="spend_overrides")
    op.drop_table("spend_overrides")
    op.drop_index("ix_spend_limits_subject", table_name="spend_limits")
    op.drop_table("spend_limits")
