"""Money that went back of invoices: by credit notes, and straight from a charge at Stripe."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text

from app.infra.db.locks import advisory_lock
from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId

# A refund that has a credit note's id is the note's, and counts there. Stripe's own figure counts
# where it is higher than what is known here.
DIRECTLY = """
    select p.organization_id, p.id as invoice_id,
        sum(greatest(c.amount_refunded, r.gone) - r.of_notes) as gone,
        sum(r.requested) as requested
    from charges c
    join (
        select organization_id, id, stripe_invoice_id from invoices
        where stripe_invoice_id is not null
        union all
        select organization_id, invoice_id, stripe_invoice_id from invoice_requests
        where stripe_invoice_id is not null
    ) as p on p.organization_id = c.organization_id
        and p.stripe_invoice_id = c.stripe_invoice_id
    cross join lateral (
        select coalesce(sum(r.amount) filter (where r.status <> 'requested'), 0) as gone,
            coalesce(sum(r.amount) filter (where r.status <> 'requested' and n.id is not null), 0)
                as of_notes,
            coalesce(sum(r.amount) filter (where r.status = 'requested' and n.id is null), 0)
                as requested
        from refunds r
        left join credit_notes n on n.organization_id = r.organization_id and n.id = r.id
        where r.organization_id = c.organization_id and r.charge_id = c.id
            and r.status not in ('refused', 'failed', 'canceled')
    ) as r
    where c.status = 'succeeded'
    group by 1, 2
"""
"""By invoice: what was refunded of its charges beside its credit notes, or is asked for."""

_DIRECTLY = text(f"""
select coalesce(sum(d.gone + d.requested), 0) from ({DIRECTLY}) as d
where d.organization_id = :organization_id and d.invoice_id = :invoice_id
""")

# A surplus became credit; operators who take that away may send the money back.
_KEPT = text("""
select i.amount_paid + coalesce((
    select sum(q.surplus) from invoice_requests q
    where q.organization_id = i.organization_id and q.invoice_id = i.id
), 0) - coalesce((
    select sum(n.total) from credit_notes n
    where n.organization_id = i.organization_id and n.invoice_id = i.id
        and n.settlement = 'refund' and n.id is distinct from cast(:but_for as uuid)
), 0)
from invoices i where i.organization_id = :organization_id and i.id = :invoice_id
""")

_COLLECTED = text("""
select invoice_id from invoice_requests
where organization_id = :organization_id and stripe_invoice_id = :stripe_invoice_id
""")


class SentBackRepository(Repository):
    """Adds up what went back, under a lock: two ways at once never give back the same money."""

    async def directly(self, organization_id: OrganizationId, invoice_id: UUID) -> int:
        """What went back of an invoice without a credit note, or was asked for; until the unit
        ends nobody else promises any."""
        await advisory_lock(self.session, "refunds", organization_id)
        return int(
            await self.session.scalar(
                _DIRECTLY, {"organization_id": organization_id, "invoice_id": invoice_id}
            )
            or 0
        )

    async def kept_of_notes(
        self, organization_id: OrganizationId, invoice_id: UUID, but_for: UUID | None
    ) -> int:
        """What was paid less what credit notes give back, sent or not, *but_for* one of them."""
        given = {
            "organization_id": organization_id,
            "invoice_id": invoice_id,
            "but_for": but_for,
        }
        return int(await self.session.scalar(_KEPT, given) or 0)

    async def collected_by(
        self, organization_id: OrganizationId, stripe_invoice_id: str
    ) -> UUID | None:
        """The invoice of ours that an invoice at Stripe collects."""
        found: UUID | None = await self.session.scalar(
            _COLLECTED,
            {"organization_id": organization_id, "stripe_invoice_id": stripe_invoice_id},
        )
        return found
