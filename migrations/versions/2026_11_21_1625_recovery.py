"""Cases of missing payments and what happened in them; cards whose end was announced."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "card_notices",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("stripe_payment_method_id", sa.Text(), nullable=False),
        sa.Column("exp_month", sa.BigInteger(), nullable=False),
        sa.Column("exp_year", sa.BigInteger(), nullable=False),
        sa.Column("announced_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_card_notices")),
    )
    op.create_index(
        op.f("ix_card_notices_organization_id_stripe_payment_method_id_exp_year_exp_month"),
        "card_notices",
        ["organization_id", "stripe_payment_method_id", "exp_year", "exp_month"],
        unique=True,
    )
    op.create_table(
        "recovery_cases",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("first_failed_at", _INSTANT, nullable=False),
        sa.Column("grace_until", _INSTANT, nullable=False),
        sa.Column("warned_at", _INSTANT, nullable=True),
        sa.Column("lapsed_at", _INSTANT, nullable=True),
        sa.Column("closed_at", _INSTANT, nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "outcome in ('recovered', 'given_up', 'canceled')",
            name=op.f("ck_recovery_cases_outcome_is_known"),
        ),
        sa.CheckConstraint(
            "(closed_at is null) = (outcome is null)",
            name=op.f("ck_recovery_cases_closes_with_an_outcome"),
        ),
        sa.CheckConstraint(
            "first_failed_at <= grace_until", name=op.f("ck_recovery_cases_grace_is_forward")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_recovery_cases")),
    )
    op.create_index(
        "ix_recovery_cases_running",
        "recovery_cases",
        ["grace_until"],
        postgresql_where=sa.text("closed_at is null and lapsed_at is null"),
    )
    op.create_index(
        "uq_recovery_cases_open",
        "recovery_cases",
        ["organization_id", "subscription_id"],
        unique=True,
        postgresql_where=sa.text("closed_at is null"),
    )
    op.create_table(
        "recovery_steps",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("happened_at", _INSTANT, nullable=False),
        sa.Column("recorded_at", _INSTANT, nullable=False),
        sa.Column("stripe_invoice_id", sa.Text(), nullable=True),
        sa.Column("attempt", sa.BigInteger(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("next_attempt_at", _INSTANT, nullable=True),
        sa.Column("pay_url", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_recovery_steps")),
    )
    op.create_index(
        op.f("ix_recovery_steps_organization_id_cause"),
        "recovery_steps",
        ["organization_id", "cause"],
        unique=True,
    )


def downgrade() -> None:
    op.drop_table("recovery_steps")
    op.drop_table("recovery_cases")
    op.drop_table("card_notices")
