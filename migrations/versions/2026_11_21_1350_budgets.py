"""Budgets, their overrides, and the alerts that were raised."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "budgets",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("amount_usd", sa.Numeric(38, 18), nullable=False),
        sa.Column("thresholds", postgresql.JSONB(), nullable=False),
        sa.Column("auto_suspend", sa.Boolean(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount_usd >= 0", name=op.f("ck_budgets_amount_not_negative")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_budgets")),
    )
    op.create_index("ix_budgets_subject", "budgets", ["organization_id", "scope", "subject"])
    op.create_index(
        "uq_budgets_debate",
        "budgets",
        ["organization_id", "subject"],
        unique=True,
        postgresql_where=sa.text("scope = 'debate' and period = 'total'"),
    )
    op.create_table(
        "budget_overrides",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("budget_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("granted_by", sa.Text(), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "budget_id"],
            ["budgets.organization_id", "budgets.id"],
            name=op.f("fk_budget_overrides_organization_id_budget_id_budgets"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_budget_overrides")),
    )
    op.create_index(
        "ix_budget_overrides_budget_id", "budget_overrides", ["organization_id", "budget_id"]
    )
    op.create_table(
        "budget_alerts",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("budget_id", sa.Uuid(), nullable=False),
        sa.Column("budget_name", sa.Text(), nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fraction", sa.Numeric(9, 6), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("amount_usd", sa.Numeric(38, 18), nullable=False),
        sa.Column("spent_usd", sa.Numeric(38, 18), nullable=False),
        sa.Column("held_usd", sa.Numeric(38, 18), nullable=False),
        sa.Column("is_suspended", sa.Boolean(), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_budget_alerts")),
        sa.UniqueConstraint(
            "organization_id",
            "budget_id",
            "period_start",
            "fraction",
            name=op.f("uq_budget_alerts_organization_id_budget_id_period_start_fraction"),
        ),
    )


def downgrade() -> None:
    op.drop_table("budget_alerts")
    op.drop_index("ix_budget_overrides_budget_id", table_name="budget_overrides")
    op.drop_table("budget_overrides")
    op.drop_index("uq_budgets_debate", table_name="budgets")
    op.drop_index("ix_budgets_subject", table_name="budgets")
    op.drop_table("budgets")
