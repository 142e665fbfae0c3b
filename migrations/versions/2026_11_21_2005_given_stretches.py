"""How given plans are billed, and when one of them was what counted."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("fee", "usage"):
        op.add_column(
            "manual_plans", sa.Column(name, sa.Text(), nullable=False, server_default="invoice")
        )
        op.alter_column("manual_plans", name, server_default=None)
        op.create_check_constraint(
            op.f(f"ck_manual_plans_{name}_is_known"),
            "manual_plans",
            f"{name} in ('invoice', 'free')",
        )
    op.create_table(
        "given_stretches",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("manual_plan_id", sa.Uuid(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("catalog_version", sa.Uuid(), nullable=False),
        sa.Column("fee", sa.Text(), nullable=False),
        sa.Column("usage", sa.Text(), nullable=False),
        sa.Column("beneath", sa.Text(), nullable=False),
        sa.Column("beneath_version", sa.Uuid(), nullable=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("since < until", name=op.f("ck_given_stretches_is_forward")),
        sa.CheckConstraint(
            "fee in ('invoice', 'free')", name=op.f("ck_given_stretches_fee_is_known")
        ),
        sa.CheckConstraint(
            "usage in ('invoice', 'free')", name=op.f("ck_given_stretches_usage_is_known")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "manual_plan_id"],
            ["manual_plans.organization_id", "manual_plans.id"],
            name=op.f("fk_given_stretches_organization_id_manual_plan_id_manual_plans"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_given_stretches")),
    )
    op.create_index(
        "uq_given_stretches_open",
        "given_stretches",
        ["organization_id"],
        unique=True,
        postgresql_where=sa.text("until is null"),
    )
    op.add_column("own_invoices", sa.Column("given_plan", sa.Text(), nullable=True))
    # Plans that count already. What of them lies in earlier months was billed by the month.
    op.execute("""
        insert into given_stretches (
            organization_id, id, manual_plan_id, plan, catalog_version, fee, usage,
            beneath, beneath_version, since, ends_at
        )
        select distinct on (m.organization_id)
            m.organization_id, m.id, m.id, m.plan, o.catalog_version, 'invoice', 'invoice',
            coalesce(s.plan, 'free'), s.catalog_version,
            greatest(m.granted_at, date_trunc('month', now(), 'UTC'), e.until), m.ends_at
        from manual_plans m
        join organizations o on o.id = m.organization_id and o.plan = m.plan
        left join lateral (
            select b.plan, b.catalog_version from subscriptions b
            where b.organization_id = m.organization_id
                and b.status in ('trialing', 'active', 'past_due')
            order by b.created_at desc limit 1
        ) as s on true
        left join lateral (
            select max(n.until) as until from metered_enrolments n
            where n.organization_id = m.organization_id
        ) as e on true
        where m.withdrawn_at is null and m.ends_at > now() and o.catalog_version is not null
            and not exists (
                select from metered_enrolments n
                where n.organization_id = m.organization_id and n.until is null
            )
        order by m.organization_id, m.id desc
    """)


def downgrade() -> None:
    op.drop_column("own_invoices", "given_plan")
    op.drop_table("given_stretches")
    for name in ("usage", "fee"):
        op.drop_constraint(op.f(f"ck_manual_plans_{name}_is_known"), "manual_plans")
        op.drop_column("manual_plans", name)
