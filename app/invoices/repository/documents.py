"""Documents of our own on their way into the database: each whole, in one statement."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import text

from app.infra.db.base import TenantTable
from app.infra.db.repository import Repository
from app.invoices.models import BilledWindow, Invoice, InvoiceLine, InvoiceProof, OwnInvoice
from app.kernel.ids import OrganizationId

_LAST_COUNTS = f"""
on conflict (organization_id, window_start) do update set
    {", ".join(f"{each.name} = excluded.{each.name}" for each in BilledWindow.__table__.columns)}
"""

# Foreign keys are looked at when the statement ends, so one may insert parents and children.
_ADD = text(f"""
with added as (
    insert into invoices
    select row.* from jsonb_populate_record(null::invoices, cast(:invoice as jsonb)) as row
    on conflict do nothing
    returning id
),
own as (
    insert into own_invoices
    select row.* from added
    cross join jsonb_populate_record(null::own_invoices, cast(:own as jsonb)) as row
),
lines as (
    insert into invoice_lines
    select row.* from added
    cross join jsonb_populate_recordset(null::invoice_lines, cast(:lines as jsonb)) as row
),
windows as (
    insert into billed_windows
    select row.* from added
    cross join jsonb_populate_recordset(null::billed_windows, cast(:windows as jsonb)) as row
    {_LAST_COUNTS}
),
proofs as (
    insert into invoice_proofs
    select row.* from added
    cross join jsonb_populate_recordset(null::invoice_proofs, cast(:proofs as jsonb)) as row
),
head as (
    update invoice_number_counters as counter set last_hash = row.hash
    from added
    cross join jsonb_populate_recordset(null::invoice_proofs, cast(:proofs as jsonb)) as row
    where counter.seller = row.seller and counter.year = row.year
)
select id from added
""")

_REMEMBER = text(f"""
insert into billed_windows
select row.* from jsonb_populate_recordset(null::billed_windows, cast(:windows as jsonb)) as row
{_LAST_COUNTS}
""")


class DocumentRepository(Repository):
    """Rows are given as they are to be stored; what is new of them no session needs to know."""

    async def add_unless_billed(
        self,
        organization_id: OrganizationId,
        invoice: Invoice,
        own: OwnInvoice,
        lines: Sequence[InvoiceLine],
        windows: Sequence[BilledWindow] = (),
        proof: InvoiceProof | None = None,
    ) -> bool:
        """Store a document with its lines, what it settles, and its proof as the head of the
        series; False when its window has one already, also by a racing one: then nothing is
        stored. The series' counter is locked by whoever took the number."""
        stored = await self.session.scalar(
            _ADD,
            {
                "invoice": _row(organization_id, invoice),
                "own": _row(organization_id, own),
                "lines": _rows(organization_id, lines),
                "windows": _rows(organization_id, windows),
                "proofs": _rows(organization_id, [proof] if proof is not None else []),
            },
        )
        return stored is not None

    async def remember_windows(
        self, organization_id: OrganizationId, windows: Sequence[BilledWindow]
    ) -> None:
        """Keep the terms of windows and how their usage looked; the last rating counts."""
        await self.session.execute(_REMEMBER, {"windows": _rows(organization_id, windows)})


def _row(organization_id: OrganizationId, row: TenantTable) -> str:
    """Every column by its name, also those that a later version of the model adds."""
    values = {each.name: getattr(row, each.key) for each in type(row).__table__.columns}
    values["organization_id"] = organization_id
    return json.dumps(values, default=_plain)


def _rows(organization_id: OrganizationId, rows: Sequence[TenantTable]) -> str:
    return f"[{','.join(_row(organization_id, row) for row in rows)}]"


def _plain(value: Any) -> str:
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"a row cannot carry {type(value).__name__}")
