"""Invoices of our own: drafts, what has been billed of which window, payments and credit notes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, func, select, text, update

from app.infra.db.locks import advisory_lock
from app.infra.db.repository import Repository
from app.invoices.domain import InvoiceOrigin, InvoiceStatus
from app.invoices.errors import InvoiceIsStripes, InvoiceNotFound
from app.invoices.models import (
    BilledWindow,
    Invoice,
    InvoiceLine,
    InvoicePayment,
    OwnInvoice,
)
from app.invoices.models_notes import CreditNote, CreditNoteLine
from app.invoices.repository.sent_back import DIRECTLY
from app.kernel.ids import OrganizationId

USAGE = "usage"
"""The billing reason of an invoice that closes a window."""

# Made once: making it costs more than asking, and the run asks for every organization.
_BILLED_SINCE = (
    select(BilledWindow)
    .where(
        BilledWindow.organization_id == bindparam("organization_id"),
        BilledWindow.window_end > bindparam("since"),
    )
    .order_by(BilledWindow.window_start)
    .execution_options(populate_existing=True)
)

_BILLED = text("""
select l.window_start, l.key, min(l.description) as description,
    sum(l.amount) - coalesce(sum(taken.amount), 0) as amount
from invoices i
join invoice_lines l on l.organization_id = i.organization_id and l.invoice_id = i.id
left join lateral (
    select sum(n.amount) as amount
    from credit_note_lines n
    join credit_notes c on c.organization_id = n.organization_id and c.id = n.credit_note_id
    where n.organization_id = l.organization_id and n.line_id = l.id and c.kind = 'correction'
) as taken on true
where i.organization_id = :organization_id and i.origin = 'own'
    and i.status in ('open', 'paid', 'uncollectible')
    and l.key <> 'fee' and l.window_start = any(cast(:windows as timestamptz[]))
group by l.window_start, l.key
""")

# What a charge gave back without a credit note had its invoice's share of tax in it.
_NET_PAID = text(f"""
select coalesce(sum(i.total - i.tax), 0)::bigint - coalesce((
    select sum(c.net) from credit_notes c
    where c.organization_id = :organization_id and c.currency = :currency
        and exists (
            select from invoices p where p.organization_id = c.organization_id
                and p.id = c.invoice_id and p.status = 'paid'
        )
), 0)::bigint - coalesce((
    select sum(round(d.gone * (p.total - p.tax) / p.total))
    from ({DIRECTLY}) as d
    join invoices p on p.organization_id = d.organization_id and p.id = d.invoice_id
    where d.organization_id = :organization_id and p.status = 'paid' and p.currency = :currency
        and p.total > 0
), 0)::bigint
from invoices i
where i.organization_id = :organization_id and i.status = 'paid' and i.currency = :currency
""")


class Billed(NamedTuple):
    """What issued documents ask for a charge of a window, corrections taken off."""

    description: str
    amount: int


class Known(NamedTuple):
    """An invoice of our own for a window, as a run needs to know it."""

    invoice_id: UUID
    status: InvoiceStatus
    finalize_after: datetime


class OwnInvoiceRepository(Repository):
    """Writes what this service issues itself."""

    def add(self, row: OwnInvoice | CreditNote | CreditNoteLine | InvoicePayment) -> None:
        self.session.add(row)

    async def lock(self, organization_id: OrganizationId) -> None:
        """Let nobody else change what has been billed of this organization's windows until the
        unit ends. Taken before any row."""
        await advisory_lock(self.session, "invoices", organization_id)

    async def find_of_window(
        self, organization_id: OrganizationId, window_start: datetime
    ) -> Invoice | None:
        """The invoice of a window, unless it is void."""
        found = await self.session.scalars(
            select(Invoice).where(
                Invoice.organization_id == organization_id,
                Invoice.origin == InvoiceOrigin.OWN.value,
                Invoice.billing_reason == USAGE,
                Invoice.status != InvoiceStatus.VOID.value,
                Invoice.period_start == window_start,
            )
        )
        return found.first()

    async def claim(
        self, organization_id: OrganizationId, invoice_id: UUID
    ) -> tuple[Invoice, OwnInvoice]:
        """The invoice, locked until the unit ends. Raises `InvoiceNotFound`, and `InvoiceIsStripes`
        for a mirrored one."""
        found = await self.find(organization_id, invoice_id)
        if found is None:
            if await self.session.get(Invoice, (organization_id, invoice_id)) is not None:
                raise InvoiceIsStripes
            raise InvoiceNotFound
        return found

    async def find(
        self, organization_id: OrganizationId, invoice_id: UUID
    ) -> tuple[Invoice, OwnInvoice] | None:
        """As `claim`; None for what is no invoice of our own."""
        found = (
            await self.session.execute(
                select(Invoice, OwnInvoice)
                .join(
                    OwnInvoice,
                    (OwnInvoice.organization_id == Invoice.organization_id)
                    & (OwnInvoice.id == Invoice.id),
                )
                .where(Invoice.organization_id == organization_id, Invoice.id == invoice_id)
                .with_for_update()
                .execution_options(populate_existing=True)
            )
        ).first()
        return (found[0], found[1]) if found is not None else None

    async def owner_for_operators(self, invoice_id: UUID) -> OrganizationId:
        """Whose invoice this is. Raises `InvoiceNotFound`."""
        found = await self.session.scalar(
            select(Invoice.organization_id).where(Invoice.id == invoice_id)
        )
        if found is None:
            raise InvoiceNotFound
        return OrganizationId(found)

    async def known_for_platform(
        self, organization_ids: Sequence[UUID], since: datetime
    ) -> dict[tuple[UUID, datetime], Known]:
        """Invoices of windows that ended after *since*; of several the one that is not void."""
        rows = await self.session.execute(
            select(
                Invoice.organization_id,
                Invoice.period_start,
                Invoice.id,
                Invoice.status,
                OwnInvoice.finalize_after,
            )
            .join(
                OwnInvoice,
                (OwnInvoice.organization_id == Invoice.organization_id)
                & (OwnInvoice.id == Invoice.id),
            )
            .where(
                Invoice.organization_id.in_(organization_ids),
                Invoice.billing_reason == USAGE,
                Invoice.period_end > since,
            )
            .order_by(Invoice.id)
        )
        found: dict[tuple[UUID, datetime], Known] = {}
        for organization_id, window_start, invoice_id, status, finalize_after in rows:
            if window_start is None:
                continue
            key = (organization_id, window_start)
            known = Known(invoice_id, InvoiceStatus(status), finalize_after)
            if key not in found or found[key].status is InvoiceStatus.VOID:
                found[key] = known
        return found

    async def rated_for_platform(
        self, organization_ids: Sequence[UUID], since: datetime
    ) -> set[tuple[UUID, datetime]]:
        """Windows that ended after *since* and were rated, whether or not they asked for money."""
        rows = await self.session.execute(
            select(BilledWindow.organization_id, BilledWindow.window_start).where(
                BilledWindow.organization_id.in_(organization_ids),
                BilledWindow.window_end > since,
            )
        )
        return {(owner, start) for owner, start in rows}

    async def lines(self, organization_id: OrganizationId, invoice_id: UUID) -> list[InvoiceLine]:
        found = await self.session.scalars(
            select(InvoiceLine)
            .where(
                InvoiceLine.organization_id == organization_id,
                InvoiceLine.invoice_id == invoice_id,
            )
            .order_by(InvoiceLine.position)
        )
        return list(found)

    async def windows(self, organization_id: OrganizationId, since: datetime) -> list[BilledWindow]:
        """Billed windows that ended after *since*, oldest first."""
        found = await self.session.scalars(
            _BILLED_SINCE, {"organization_id": organization_id, "since": since}
        )
        return list(found)

    async def look_again(
        self, organization_id: OrganizationId, windows: Sequence[datetime]
    ) -> None:
        """Let these windows be rated again though their usage has not moved: documents have."""
        await self.session.execute(
            update(BilledWindow)
            .where(
                BilledWindow.organization_id == organization_id,
                BilledWindow.window_start.in_(windows),
            )
            .values(fingerprint="")
        )

    async def billed(
        self, organization_id: OrganizationId, windows: Sequence[datetime]
    ) -> dict[datetime, dict[str, Billed]]:
        """By window and charge: what issued documents ask for, corrections taken off."""
        rows = await self.session.execute(
            _BILLED, {"organization_id": organization_id, "windows": list(windows)}
        )
        found: dict[datetime, dict[str, Billed]] = {window: {} for window in windows}
        for window_start, key, description, amount in rows:
            found[window_start][key] = Billed(description, int(amount))
        return found

    async def taken_back(
        self, organization_id: OrganizationId, invoice_id: UUID
    ) -> dict[UUID, tuple[int, int, int]]:
        """By line: amount, net and tax that credit notes took back so far."""
        rows = await self.session.execute(
            select(
                CreditNoteLine.line_id,
                func.sum(CreditNoteLine.amount),
                func.sum(CreditNoteLine.net),
                func.sum(CreditNoteLine.tax),
            )
            .join(
                CreditNote,
                (CreditNote.organization_id == CreditNoteLine.organization_id)
                & (CreditNote.id == CreditNoteLine.credit_note_id),
            )
            .where(
                CreditNoteLine.organization_id == organization_id,
                CreditNote.invoice_id == invoice_id,
            )
            .group_by(CreditNoteLine.line_id)
        )
        return {row[0]: (int(row[1]), int(row[2]), int(row[3])) for row in rows}

    async def credit_notes(
        self, organization_id: OrganizationId, invoice_id: UUID
    ) -> list[CreditNote]:
        found = await self.session.scalars(
            select(CreditNote)
            .where(
                CreditNote.organization_id == organization_id,
                CreditNote.invoice_id == invoice_id,
            )
            .order_by(CreditNote.id)
        )
        return list(found)

    async def payments(
        self, organization_id: OrganizationId, invoice_id: UUID
    ) -> list[InvoicePayment]:
        """What came in for an invoice, oldest first."""
        found = await self.session.scalars(
            select(InvoicePayment)
            .where(
                InvoicePayment.organization_id == organization_id,
                InvoicePayment.invoice_id == invoice_id,
            )
            .order_by(InvoicePayment.received_at, InvoicePayment.id)
        )
        return list(found)

    async def paid_by(self, organization_id: OrganizationId, invoice_id: UUID, method: str) -> int:
        """How much of what was paid on an invoice came this way."""
        found = await self.session.scalar(
            select(func.coalesce(func.sum(InvoicePayment.amount), 0)).where(
                InvoicePayment.organization_id == organization_id,
                InvoicePayment.invoice_id == invoice_id,
                InvoicePayment.method == method,
            )
        )
        return int(found or 0)

    async def net_paid(self, organization_id: OrganizationId, currency: str) -> int:
        """What paid invoices came to, net of tax, of credit notes and of refunds."""
        found = await self.session.scalar(
            _NET_PAID, {"organization_id": organization_id, "currency": currency}
        )
        return int(found or 0)
