"""Credit that calls to models draw on, where a plan says so."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.usage.ddl import install

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

SCOPES = "'organization', 'workspace', 'user', 'api_key', 'debate', 'model'"


def _name_scopes(scopes: str) -> None:
    op.drop_constraint(op.f("ck_spend_limits_scope_is_known"), "spend_limits", type_="check")
    op.create_check_constraint(
        op.f("ck_spend_limits_scope_is_known"), "spend_limits", f"scope in ({scopes})"
    )


def upgrade() -> None:
    op.add_column(
        "organizations",
        sa.Column("draws_on_credit_since", sa.DateTime(timezone=True), nullable=True),
    )
    op.add_column(
        "credit_accounts",
        sa.Column("is_used", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column(
        "credit_accounts", sa.Column("draws_since", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column(
        "credit_accounts",
        sa.Column("use_settled", sa.BigInteger(), nullable=False, server_default="0"),
    )
    op.add_column(
        "credit_accounts",
        sa.Column("use_settlements", sa.BigInteger(), nullable=False, server_default="0"),
    )
    for name in ("is_used", "use_settled", "use_settlements"):
        op.alter_column("credit_accounts", name, server_default=None)
    op.create_check_constraint(
        op.f("ck_credit_accounts_use_settled_not_negative"), "credit_accounts", "use_settled >= 0"
    )
    op.create_check_constraint(
        op.f("ck_credit_accounts_drawn_on_is_used"),
        "credit_accounts",
        "is_used or draws_since is null",
    )
    op.add_column(
        "spend_limits", sa.Column("counts_in", postgresql.TSTZMULTIRANGE(), nullable=True)
    )
    op.add_column("spend_limits", sa.Column("settled_usd", sa.Numeric(38, 18), nullable=True))
    op.add_column("spend_limits", sa.Column("lapses_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("spend_limits", sa.Column("lapsed_usd", sa.Numeric(38, 18), nullable=True))
    _name_scopes(f"{SCOPES}, 'credit'")
    op.create_check_constraint(
        op.f("ck_spend_limits_credit_says_what_it_counts"),
        "spend_limits",
        "(scope = 'credit') = (counts_in is not null and settled_usd is not null)",
    )
    op.create_index(
        "ix_spend_limits_credit",
        "spend_limits",
        ["organization_id"],
        unique=True,
        postgresql_where=sa.text("scope = 'credit'"),
    )
    install(op.get_bind().exec_driver_sql)


def downgrade() -> None:
    op.execute(
        "delete from spend s using spend_limits l where l.scope = 'credit'"
        " and l.organization_id = s.organization_id and l.id = s.limit_id"
    )
    op.execute("delete from spend_limits where scope = 'credit'")
    op.drop_index("ix_spend_limits_credit", table_name="spend_limits")
    op.drop_constraint(
        op.f("ck_spend_limits_credit_says_what_it_counts"), "spend_limits", type_="check"
    )
    _name_scopes(SCOPES)
    for name in ("lapsed_usd", "lapses_at", "settled_usd", "counts_in"):
        op.drop_column("spend_limits", name)
    for name in ("drawn_on_is_used", "use_settled_not_negative"):
        op.drop_constraint(op.f(f"ck_credit_accounts_{name}"), "credit_accounts", type_="check")
    for name in ("use_settlements", "use_settled", "draws_since", "is_used"):
        op.drop_column("credit_accounts", name)
    op.drop_column("organizations", "draws_on_credit_since")
