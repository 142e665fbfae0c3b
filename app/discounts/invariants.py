"""What must always hold of discounts, as SQL that returns a row for each place where it does not.

Each takes `:organization_id`, null for all; codes belong to nobody and are looked at as a whole.
"""

from __future__ import annotations

INVARIANTS: dict[str, tuple[str, str]] = {
    "discounts.codes_count_their_uses": (
        "A promo code counts the uses that stand, no more and no fewer.",
        """
        select p.id, p.code, p.uses, count(r.id) as standing
        from promo_codes p
        left join promo_redemptions r on r.promo_code_id = p.id and r.state <> 'released'
        group by p.id having p.uses <> count(r.id)""",
    ),
    "discounts.no_code_is_overused": (
        "No organization used a code more often than it may.",
        """
        select r.organization_id, p.code, count(*) as uses, p.max_uses_per_org
        from promo_redemptions r join promo_codes p on p.id = r.promo_code_id
        where r.state <> 'released'
            and (cast(:organization_id as uuid) is null or r.organization_id = :organization_id)
        group by r.organization_id, p.id having count(*) > p.max_uses_per_org""",
    ),
    "discounts.periods_are_invoices": (
        "A redemption has used a period for each invoice that it took something off.",
        """
        select r.organization_id, r.id, r.periods_used, count(d.id) as taken
        from promo_redemptions r
        left join promo_discounted_invoices d
            on d.organization_id = r.organization_id and d.redemption_id = r.id
        where cast(:organization_id as uuid) is null or r.organization_id = :organization_id
        group by r.organization_id, r.id having r.periods_used <> count(d.id)""",
    ),
}
