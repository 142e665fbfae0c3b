"""Reading across invoices, payments and credits; nothing is written."""

from __future__ import annotations

from sqlalchemy import text

from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId
from app.kernel.money import Currency
from app.kernel.periods import Period
from app.statements.domain import Book, Found

_GONE = "('requested', 'refused', 'failed', 'canceled')"
"""Refunds that took no money away."""

_NAMED = """
    left join lateral (
        select i.id, i.number from invoices i
        where i.organization_id = c.organization_id and i.stripe_invoice_id = c.stripe_invoice_id
        union all
        select i.id, i.number
        from invoice_requests q
        join invoices i on i.organization_id = q.organization_id and i.id = q.invoice_id
        where q.organization_id = c.organization_id
            and q.stripe_invoice_id = c.stripe_invoice_id
        limit 1
    ) as n on true"""
"""The invoice that a charge paid, of either origin."""

# Each branch: at, rank (the order within an instant), currency, kind, reference, invoice, amount.
_ACCOUNT = f"""
    select i.issued, 1 as rank, i.currency, 'invoice' as kind, i.number as reference,
        i.id as invoice_id, i.total as amount, i.id as tie
    from i
    union all
    select i.issued, 2, i.currency, 'customer_balance', i.number, i.id,
        i.amount_due + coalesce(i.credited_before, 0) - i.total, i.id
    from i where i.origin = 'stripe'
    union all
    select i.issued, 2, i.currency, 'prepaid_credit', i.number, i.id, i.amount_due - i.total, i.id
    from i where i.origin = 'own'
    union all
    select p.received_at, 3, i.currency, 'payment', i.number, i.id, -p.amount, p.id
    from invoice_payments p join i on i.id = p.invoice_id
    where p.organization_id = :organization_id
    union all
    select i.settled, 3, i.currency, 'payment', i.number, i.id, -i.amount_paid, i.id
    from i where i.origin = 'stripe'
    union all
    select i.settled, 4, i.currency, 'adjustment', i.number, i.id,
        i.amount_remaining + i.amount_paid - i.amount_due, i.id
    from i where i.origin = 'stripe' and i.status <> 'void'
    union all
    select coalesce(i.voided_at, i.issued), 4, i.currency, 'void', i.number, i.id,
        i.amount_paid - i.amount_due, i.id
    from i where i.status = 'void'
    union all
    select c.issued_at, 5, c.currency, 'credit_note', c.number, c.invoice_id, -c.total, c.id
    from credit_notes c where c.organization_id = :organization_id
    union all
    select c.issued_at, 6, c.currency, 'to_prepaid_credit', c.number, c.invoice_id, c.total, c.id
    from credit_notes c where c.organization_id = :organization_id and c.settlement = 'credit'
    union all
    select side.at, side.rank, s.currency, side.kind, s.number, s.invoice_id, side.amount, s.id
    from stripe_credit_notes s
    cross join lateral (
        values (s.issued_at, 5, 'credit_note', -s.total),
            (s.issued_at, 6, 'to_customer_balance', s.to_balance),
            (s.issued_at, 7, 'refund', s.by_hand), (s.voided_at, 8, 'credit_note_void', s.total)
    ) as side (at, rank, kind, amount)
    where s.organization_id = :organization_id and side.at is not null
    union all
    select e.created_at, side.rank, e.currency, side.kind, i.number, i.id, side.sign * e.amount,
        e.id
    from invoice_requests q
    join i on i.id = q.invoice_id
    join credit_entries e on e.organization_id = q.organization_id
        and e.cause = 'surplus:' || q.id
    cross join (values (3, 'payment', -1), (6, 'to_prepaid_credit', 1)) as side (rank, kind, sign)
    where q.organization_id = :organization_id and q.surplus > 0
    union all
    select c.refunded_at, 7, c.currency, 'refund', c.number, c.invoice_id, c.total, c.id
    from credit_notes c
    where c.organization_id = :organization_id and c.refund_way = 'transfer'
        and c.refund_state = 'made'
    union all
    select r.created_at, 7, r.currency, 'refund', coalesce(k.number, n.number), n.id, r.amount, r.id
    from refunds r
    join charges c on c.organization_id = r.organization_id and c.id = r.charge_id
    {_NAMED}
    left join credit_notes k on k.organization_id = r.organization_id and k.id = r.id
    where r.organization_id = :organization_id and r.status not in {_GONE}
    union all
    select r.created_at, 6, r.currency, 'refund_granted', n.number, n.id, noted.amount - r.amount,
        r.id
    from refunds r
    join charges c on c.organization_id = r.organization_id and c.id = r.charge_id
    {_NAMED}
    cross join lateral (
        select coalesce(sum(part.amount), 0) as amount
        from stripe_credit_notes s
        cross join lateral jsonb_to_recordset(s.refunds) as part (refund text, amount bigint)
        where s.organization_id = r.organization_id and part.refund = r.stripe_refund_id
    ) as noted
    where r.organization_id = :organization_id and r.status not in {_GONE}
        and not exists (
            select from credit_notes k
            where k.organization_id = r.organization_id and k.id = r.id
        )
    union all
    select side.at, side.rank, d.currency, side.kind, coalesce(n.number, c.stripe_charge_id), n.id,
        side.sign * d.amount, d.id
    from disputes d
    join charges c on c.organization_id = d.organization_id and c.id = d.charge_id
    {_NAMED}
    cross join lateral (
        values (d.withdrawn_at, 7, 'dispute', 1), (d.reinstated_at, 8, 'dispute_won', -1)
    ) as side (at, rank, kind, sign)
    where d.organization_id = :organization_id and side.at is not null
    union all
    select e.created_at, 8, e.currency, side.kind, n.number, n.id, e.amount, e.id
    from disputes d
    join charges c on c.organization_id = d.organization_id and c.id = d.charge_id
    cross join lateral (
        values ('taken_back:dispute:' || d.id, 'prepaid_credit_taken_back'),
            ('return:taken_back:dispute:' || d.id, 'prepaid_credit_given_back')
    ) as side (cause, kind)
    join credit_entries e on e.organization_id = d.organization_id and e.cause = side.cause
    {_NAMED}
    where d.organization_id = :organization_id and d.withdrawn_at is not null
    union all
    select c.created_at, side.rank, c.currency, side.kind, c.stripe_charge_id, null,
        side.sign * c.amount, c.id
    from charges c
    {_NAMED}
    cross join (values (1, 'charge', 1), (3, 'payment', -1)) as side (rank, kind, sign)
    where c.organization_id = :organization_id and c.status = 'succeeded' and n.id is null
"""

_LINES = text(f"""
with i as (
    select i.*, coalesce(i.issued_at, i.created_at) as issued,
        coalesce(i.paid_at, (
            select max(c.created_at) from charges c
            where c.organization_id = i.organization_id
                and c.stripe_invoice_id = i.stripe_invoice_id and c.status = 'succeeded'
        ), i.issued_at, i.created_at) as settled
    from invoices i
    where i.organization_id = :organization_id and i.status <> 'draft'
        and (i.origin = 'stripe' or i.issued_at is not null)
), line as (
    select 'account' as book, * from ({_ACCOUNT}) as a (at, rank, currency, kind, reference,
        invoice_id, amount, tie)
    union all
    select 'credit', e.created_at, 0, e.currency, e.kind, e.description, e.invoice_id, e.amount,
        e.id
    from credit_entries e where e.organization_id = :organization_id
)
select book, currency, null as at, 'opening' as kind, null as reference,
    cast(null as uuid) as invoice_id, sum(amount)::bigint as amount,
    0 as rank, cast(null as uuid) as tie
from line where at < :start group by book, currency
union all
(
    select book, currency, at, kind, reference, invoice_id, amount, rank, tie
    from line where at >= :start and at < :end and amount <> 0
    order by at, rank, tie limit :most
)
order by at nulls first, rank, tie
""")


class StatementQueries(Repository):
    """One statement, so that opening and lines are of one moment."""

    async def lines(
        self, organization_id: OrganizationId, period: Period, most: int
    ) -> list[Found]:
        """What was before the period in sums, and the first *most* lines of it, by instant."""
        rows = await self.session.execute(
            _LINES,
            {
                "organization_id": organization_id,
                "start": period.start,
                "end": period.end,
                "most": most,
            },
        )
        return [
            Found(
                book=Book(row.book),
                currency=Currency(row.currency),
                at=row.at,
                kind=row.kind,
                reference=row.reference,
                invoice_id=row.invoice_id,
                amount=int(row.amount),
            )
            for row in rows
        ]
