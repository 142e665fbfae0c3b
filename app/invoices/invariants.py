"""What must always hold of documents, as SQL that returns a row for each place where it does not.

Each takes `:organization_id`, null for all.
"""

from __future__ import annotations

from app.invoices.repository.sent_back import DIRECTLY
from app.kernel.money import DIGITS

_ONLY = "(cast(:organization_id as uuid) is null or i.organization_id = :organization_id)"
_OWN = f"i.origin = 'own' and {_ONLY}"
_ISSUED = f"{_OWN} and i.status in ('open', 'paid', 'uncollectible')"
_IN_TOTAL = "cast(:organization_id as uuid) is null"
_TERMS = "join own_invoices o on o.organization_id = i.organization_id and o.id = i.id"
_NOTES = """left join lateral (
            select coalesce(sum(n.total), 0) as total,
                coalesce(sum(n.total) filter (where n.settlement = 'reduction'), 0) as reduced
            from credit_notes n
            where n.organization_id = i.organization_id and n.invoice_id = i.id
        ) as n on true"""

# Minor units in a major one.
_MINOR = " ".join(
    [
        "case i.currency",
        *(f"when '{code}' then {10**digits}" for code, digits in sorted(DIGITS.items())),
        "else 100 end",
    ]
)


def _gapless(series: str, numbers: str, counters: str) -> str:
    return f"""
        select coalesce(t.year, c.year) as year, coalesce(t.taken, 0) as taken,
            coalesce(t.highest, 0) as highest, coalesce(c.last_number, 0) as last_number,
            coalesce(t.repeated, 0) as repeated
        from (
            select split_part(number, '-', 2)::int as year, count(distinct number) as taken,
                max(split_part(number, '-', 3)::bigint) as highest,
                count(*) - count(distinct number) as repeated
            from ({numbers}) as numbered where number like '{series}-%' group by 1
        ) as t
        full join (
            select year, sum(last_number) as last_number from invoice_number_counters
            where {counters} group by 1
        ) as c using (year)
        where {_IN_TOTAL} and (
            coalesce(t.taken, 0) <> coalesce(c.last_number, 0)
            or coalesce(t.highest, 0) > coalesce(c.last_number, 0) or t.repeated > 0
        )"""


INVARIANTS: dict[str, tuple[str, str]] = {
    "invoices.lines_add_up": (
        "The lines of an invoice of ours add up to its subtotal, discount and tax.",
        f"""
        select i.organization_id, i.id, i.subtotal, l.amount, i.discount, l.discount as of_lines,
            i.tax, l.tax as tax_of_lines
        from invoices i
        cross join lateral (
            select coalesce(sum(amount), 0) as amount, coalesce(sum(discount), 0) as discount,
                coalesce(sum(tax), 0) as tax
            from invoice_lines
            where organization_id = i.organization_id and invoice_id = i.id
        ) as l
        where {_OWN} and (i.subtotal, i.discount, i.tax) <> (l.amount, l.discount, l.tax)""",
    ),
    "invoices.totals_add_up": (
        "The total of an invoice of ours is its subtotal less discount plus tax.",
        f"""
        select i.organization_id, i.id, i.subtotal, i.discount, i.tax, i.total from invoices i
        where {_OWN} and i.total <> i.subtotal - i.discount + i.tax""",
    ),
    "invoices.what_is_due_is_what_credit_left": (
        "What an invoice of ours asks for is its total less the credit that paid a part of it.",
        f"""
        select i.organization_id, i.id, i.total, o.credit_applied, i.amount_due
        from invoices i {_TERMS}
        where {_ISSUED} and i.amount_due <> i.total - o.credit_applied""",
    ),
    "invoices.what_remains_is_unpaid": (
        "What is left to pay is what was asked for less payments and reductions.",
        f"""
        select i.organization_id, i.id, i.amount_due, i.amount_paid, n.reduced, i.amount_remaining
        from invoices i {_NOTES}
        where {_ISSUED} and i.amount_remaining <> i.amount_due - i.amount_paid - n.reduced""",
    ),
    "invoices.what_was_paid_came_in": (
        "What was paid on an invoice of ours is the sum of its payments.",
        f"""
        select i.organization_id, i.id, i.amount_paid, p.amount
        from invoices i
        cross join lateral (
            select coalesce(sum(amount), 0) as amount from invoice_payments
            where organization_id = i.organization_id and invoice_id = i.id
        ) as p
        where {_OWN} and i.amount_paid <> p.amount""",
    ),
    "invoices.what_stripe_took_in_was_booked": (
        "A request paid at Stripe has its payment on our invoice, but for what became credit.",
        f"""
        select i.organization_id, i.id, q.stripe_invoice_id, q.amount, q.surplus, p.amount as booked
        from invoices i
        join invoice_requests q on q.organization_id = i.organization_id and q.invoice_id = i.id
        cross join lateral (
            select coalesce(sum(amount), 0) as amount from invoice_payments
            where organization_id = i.organization_id and invoice_id = i.id
                and method = 'stripe' and reference = q.stripe_invoice_id
        ) as p
        where {_OWN} and q.state = 'paid' and (
            p.amount + q.surplus < q.amount or q.surplus <> (
                select coalesce(sum(e.amount), 0) from credit_entries e
                where e.organization_id = i.organization_id and e.cause = 'surplus:' || q.id
            )
        )""",
    ),
    "invoices.credit_is_in_the_ledger": (
        "The credit on an invoice is what the ledger says that it drew.",
        f"""
        select i.organization_id, i.id, o.credit_applied, e.drawn
        from invoices i {_TERMS}
        cross join lateral (
            select coalesce(-sum(amount), 0) as drawn from credit_entries
            where organization_id = i.organization_id and invoice_id = i.id
                and kind = 'deduction'
        ) as e
        where {_OWN} and o.credit_applied <> e.drawn""",
    ),
    "invoices.a_void_one_gave_its_credit_back": (
        "A void invoice keeps no credit.",
        f"""
        select i.organization_id, i.id, e.kept
        from invoices i
        cross join lateral (
            select coalesce(-sum(amount), 0) as kept from credit_entries
            where organization_id = i.organization_id and invoice_id = i.id
        ) as e
        where {_OWN} and i.status = 'void' and e.kept <> 0""",
    ),
    "invoices.notes_stay_within": (
        "The credit notes of an invoice and what may still be credited are its total.",
        f"""
        select i.organization_id, i.id, i.total, n.total as noted, o.creditable
        from invoices i {_TERMS} {_NOTES}
        where {_ISSUED} and n.total + o.creditable <> i.total""",
    ),
    "invoices.notes_are_their_lines": (
        "A credit note is the sum of what it takes back of each line.",
        f"""
        select i.organization_id, i.id, i.net, i.tax, l.net as of_lines, l.tax as tax_of_lines
        from credit_notes i
        cross join lateral (
            select coalesce(sum(net), 0) as net, coalesce(sum(tax), 0) as tax
            from credit_note_lines
            where organization_id = i.organization_id and credit_note_id = i.id
        ) as l
        where {_ONLY} and (i.net, i.tax) <> (l.net, l.tax)""",
    ),
    "invoices.an_issued_one_has_a_number": (
        "An invoice of ours has a number from the moment it is issued, and none before.",
        f"""
        select i.organization_id, i.id, i.status, i.number from invoices i
        where {_OWN} and (
            (i.status = 'draft') <> (i.issued_at is null)
            or (i.issued_at is null) <> (i.number is null)
        ) and not (i.status = 'void' and i.issued_at is null and i.number is null)""",
    ),
    "invoices.a_window_is_billed_once": (
        "An organization has one invoice for a window, void ones apart.",
        f"""
        select i.organization_id, i.period_start, count(*) from invoices i
        where {_OWN} and i.billing_reason = 'usage' and i.status <> 'void'
        group by 1, 2 having count(*) > 1""",
    ),
    "invoices.numbers_have_no_gap": (
        "The invoice numbers of a year are all there, each once.",
        _gapless(
            "INV",
            "select number from invoices where origin = 'own' and number is not null",
            "seller not like 'CN:%'",
        ),
    ),
    "invoices.notes_have_no_gap": (
        "The numbers of credit notes of a year are all there, each once.",
        _gapless("CN", "select number from credit_notes", "seller like 'CN:%'"),
    ),
    "invoices.a_paid_one_owes_nothing": (
        "A paid invoice of either origin has nothing left to pay.",
        f"""
        select i.organization_id, i.id, i.origin, i.amount_remaining from invoices i
        where {_ONLY} and i.status = 'paid' and i.amount_remaining <> 0""",
    ),
    "invoices.no_more_back_than_was_paid": (
        "Refunds of an invoice of ours, by whichever way, never add up to more than was paid.",
        f"""
        select i.organization_id, i.id, i.amount_paid, n.promised, d.gone, d.requested
        from invoices i
        cross join lateral (
            select coalesce(sum(total), 0) as promised from credit_notes
            where organization_id = i.organization_id and invoice_id = i.id
                and settlement = 'refund' and refund_state <> 'failed'
        ) as n
        left join ({DIRECTLY}) as d on d.organization_id = i.organization_id
            and d.invoice_id = i.id
        where {_OWN} and n.promised + coalesce(d.gone + d.requested, 0) > i.amount_paid + (
            select coalesce(sum(surplus), 0) from invoice_requests
            where organization_id = i.organization_id and invoice_id = i.id
        )""",
    ),
    # Of taxes that Stripe counts into its prices nothing is added.
    "invoices.mirrored_totals_add_up": (
        "The total of an invoice of Stripe's is its subtotal less discount, with tax or before.",
        f"""
        select i.organization_id, i.id, i.stripe_invoice_id, i.subtotal, i.discount, i.tax, i.total
        from invoices i
        where i.origin = 'stripe' and {_ONLY} and not i.total - i.subtotal + i.discount
            between least(i.tax, 0) and greatest(i.tax, 0)""",
    ),
    "invoices.mirrored_notes_are_all_there": (
        "What credit notes took off an invoice at Stripe is the sum of those that we know.",
        f"""
        select i.organization_id, i.id, i.stripe_invoice_id, i.credited_before, n.reduced
        from invoices i
        cross join lateral (
            select coalesce(sum(before_payment), 0) as reduced from stripe_credit_notes
            where organization_id = i.organization_id and invoice_id = i.id and voided_at is null
        ) as n
        where i.origin = 'stripe' and {_ONLY} and coalesce(i.credited_before, 0) <> n.reduced""",
    ),
    "invoices.lines_are_rounded_once": (
        "The amount of a line of ours is its exact amount, rounded half away from zero.",
        f"""
        select i.organization_id, i.id, l.position, l.exact_amount, l.amount
        from invoices i
        join invoice_lines l on l.organization_id = i.organization_id and l.invoice_id = i.id
        where {_OWN} and l.exact_amount is not null
            and l.amount <> round(l.exact_amount * ({_MINOR}))""",
    ),
    "invoices.a_billed_window_is_remembered": (
        "The window of an issued invoice is kept with its terms, so that late usage is found.",
        f"""
        select i.organization_id, i.id, i.period_start from invoices i
        where {_ISSUED} and i.billing_reason = 'usage' and not exists (
            select from billed_windows w
            where w.organization_id = i.organization_id and w.window_start = i.period_start
        )""",
    ),
    "invoices.no_line_is_taken_back_twice": (
        "Credit notes take back of a line at most what it asked for, its discount and tax too.",
        f"""
        select i.organization_id, i.invoice_id, i.position, i.amount, n.amount as taken
        from invoice_lines i
        join (
            select organization_id, line_id, sum(amount) as amount, sum(net) as net,
                sum(tax) as tax
            from credit_note_lines group by 1, 2
        ) as n on n.organization_id = i.organization_id and n.line_id = i.id
        where {_ONLY} and (
            n.amount > i.amount or n.net > i.amount - i.discount or n.tax > i.tax
        )""",
    ),
    "invoices.proofs_are_as_they_were": (
        "A proof hashes to its hash, and names the one before it in what was hashed.",
        f"""
        select i.organization_id, i.id, i.year, i.place from invoice_proofs i
        where {_ONLY} and (
            i.hash <> encode(sha256(convert_to(i.document, 'UTF8')), 'hex')
            or position(i.previous_hash in i.document) = 0
        )""",
    ),
    "invoices.proofs_are_one_chain": (
        "Each proof names the one before it in its series, and the counter names the last.",
        f"""
        select i.year, i.place, i.previous_hash, i.expected from (
            select organization_id, year, place, previous_hash,
                case when lag(place) over series = place - 1 then lag(hash) over series
                end as expected
            from invoice_proofs
            window series as (partition by seller, year order by place)
        ) as i
        where {_ONLY} and i.previous_hash is distinct from i.expected
        union all
        select c.year, c.last_number, c.last_hash, p.hash
        from invoice_number_counters c
        left join lateral (
            select hash from invoice_proofs
            where seller = c.seller and year = c.year order by place desc limit 1
        ) as p on true
        where {_IN_TOTAL} and c.last_hash is distinct from p.hash""",
    ),
}
