"""What must always hold of payments, as SQL that returns a row for each place where it does not.

Each takes `:organization_id`, null for all, and `:now`.
"""

from __future__ import annotations

_ONLY = "(cast(:organization_id as uuid) is null or c.organization_id = :organization_id)"
_SAME = "c.organization_id = r.organization_id and c.id = r.charge_id"

NO_MORE_BACK_THAN_IN = f"""
    select c.organization_id, c.stripe_charge_id, c.amount, sum(r.amount) as going_back
    from charges c join refunds r on {_SAME}
    where r.status not in ('refused', 'failed', 'canceled') and {_ONLY}
    group by c.organization_id, c.id having sum(r.amount) > c.amount
"""

NO_REFUND_WAITS_FOR_EVER = f"""
    select c.organization_id, r.id, r.created_at
    from refunds r join charges c on {_SAME}
    where r.status = 'requested' and {_ONLY}
        and r.created_at < cast(:now as timestamptz) - interval '1 day'
"""

A_DISPUTED_ORGANIZATION_HAS_A_DISPUTE = """
    select c.id as organization_id, c.is_disputed
    from organizations c
    where (cast(:organization_id as uuid) is null or c.id = :organization_id)
        and c.is_disputed is distinct from exists (
            select from disputes d where d.organization_id = c.id and d.status in (
                'needs_response', 'under_review',
                'warning_needs_response', 'warning_under_review'
            )
        )
"""

PROMISES_ARE_KEPT = """
    select c.organization_id, c.number, c.refund_state, c.total, r.amount as sent
    from credit_notes c
    left join refunds r on r.organization_id = c.organization_id and r.id = c.id
    where c.refund_way = 'stripe'
        and (cast(:organization_id as uuid) is null or c.organization_id = :organization_id)
        and (
            r.amount <> c.total
            or c.refund_state = 'requested'
                and c.issued_at < cast(:now as timestamptz) - interval '1 day'
        )
"""

INVARIANTS: dict[str, tuple[str, str]] = {
    "payments.no_more_back_than_in": (
        "The refunds of a charge never add up to more than it took.",
        NO_MORE_BACK_THAN_IN,
    ),
    "payments.no_refund_waits_for_ever": (
        "A refund that was asked for is answered by Stripe within a day.",
        NO_REFUND_WAITS_FOR_EVER,
    ),
    "payments.promises_are_kept": (
        "What a credit note gives back through Stripe is sent, or known not to be, within a day.",
        PROMISES_ARE_KEPT,
    ),
    "payments.a_disputed_organization_has_a_dispute": (
        "An organization is flagged while, and only while, a dispute is open.",
        A_DISPUTED_ORGANIZATION_HAS_A_DISPUTE,
    ),
}
