"""Numbers are counted in one series, whatever name the seller has."""

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

# Where a renamed seller had begun again, the series that came further goes on.
_FURTHEST = """
    select distinct on (year) seller, year from invoice_number_counters
    where {which} order by year, last_number desc, seller
"""
_INVOICES = _FURTHEST.format(which="seller not like 'CN:%'")
_NOTES = _FURTHEST.format(which="seller like 'CN:%'")


def upgrade() -> None:
    op.execute(f"""
        update invoice_proofs p set seller = 'ours' from ({_INVOICES}) as c
        where p.seller = c.seller and p.year = c.year
    """)
    for name, furthest in (("ours", _INVOICES), ("CN:ours", _NOTES)):
        op.execute(f"""
            update invoice_number_counters n set seller = '{name}' from ({furthest}) as c
            where n.seller = c.seller and n.year = c.year
        """)


def downgrade() -> None:
    """The series keep their name: which one they had is not known any more."""
