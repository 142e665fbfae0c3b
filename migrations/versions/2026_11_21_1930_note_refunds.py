"""What becomes of the refunds that credit notes promise."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_CHECKS = {
    "a_refund_goes_some_way": (
        "(settlement = 'refund') = (refund_way is not null)"
        " and (refund_way is null) = (refund_state is null)"
    ),
    "refund_way_is_known": "refund_way in ('stripe', 'transfer')",
    "refund_state_is_known": "refund_state in ('requested', 'pending', 'made', 'failed')",
}


def upgrade() -> None:
    for name in ("refund_way", "refund_state", "refund_failure"):
        op.add_column("credit_notes", sa.Column(name, sa.Text(), nullable=True))
    op.add_column(
        "credit_notes", sa.Column("refunded_at", sa.DateTime(timezone=True), nullable=True)
    )
    # Until now every refund was sent by hand and taken as sent.
    op.execute(
        "update credit_notes set refund_way = 'transfer', refund_state = 'made',"
        " refunded_at = issued_at where settlement = 'refund'"
    )
    for name, rule in _CHECKS.items():
        op.create_check_constraint(op.f(f"ck_credit_notes_{name}"), "credit_notes", rule)
    op.create_index(op.f("ix_credit_notes_id"), "credit_notes", ["id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_credit_notes_id"), "credit_notes")
    for name in _CHECKS:
        op.drop_constraint(op.f(f"ck_credit_notes_{name}"), "credit_notes")
    for name in ("refunded_at", "refund_failure", "refund_state", "refund_way"):
        op.drop_column("credit_notes", name)
