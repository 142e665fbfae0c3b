"""Organizations may pay a percentage on top of what a model costs."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "llm_price_markups",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("percent", sa.Numeric(12, 4), nullable=False),
        sa.Column("effective_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("percent > -100", name=op.f("ck_llm_price_markups_above_minus_100")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_llm_price_markups")),
        sa.UniqueConstraint(
            "organization_id",
            "provider",
            "model",
            "effective_from",
            name=op.f("uq_llm_price_markups_organization_id_provider_model_effective_from"),
        ),
    )


def downgrade() -> None:
    op.drop_table("llm_price_markups")
