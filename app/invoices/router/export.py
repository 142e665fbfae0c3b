"""Downloads of many invoices at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.infra.http.principal import needs
from app.infra.http.provide import provide
from app.infra.http.schemas import EARLIEST, LATEST, DayOrInstantIn
from app.invoices.archive import Packed, packed
from app.invoices.domain import Invoice
from app.invoices.errors import PeriodBackwards
from app.invoices.router.documents import shown
from app.invoices.router.files import file_name
from app.invoices.service.exporting import InvoiceExport, InvoiceExports
from app.invoices.table import COLUMNS
from app.kernel.ids import encode_id
from app.kernel.periods import Period
from app.kernel.principal import Permission, Principal

router = APIRouter(prefix="/billing/invoices", tags=["invoices"])

Documents = Literal["pdf", "html", "csv", "json"]


@router.get(
    "/export",
    response_class=Response,
    responses={
        200: {"content": {"text/csv": {}, "application/zip": {}}},
        503: {"description": "Too many exports at once; `Retry-After` says when to ask again."},
    },
)
async def export_invoices(
    request: Request,
    principal: Annotated[Principal, needs(Permission.BILLING_READ)],
    exports: Annotated[InvoiceExports, provide(InvoiceExports)],
    form: Annotated[Literal["csv", "zip"], Query(alias="format")] = "csv",
    documents: Annotated[Documents, Query(description="What is in the zip.")] = "pdf",
    start: Annotated[DayOrInstantIn | None, Query(alias="from")] = None,
    end: Annotated[DayOrInstantIn | None, Query(alias="to", description="Not included.")] = None,
) -> Response:
    """Every invoice issued from `from` until before `to`, of either origin, oldest first: all of
    them as one CSV with the rows of `/billing/invoices/{id}/csv`, or a zip with a document each.
    Written while it is read."""
    export = exports.open(principal.organization, _period(start, end))
    if form == "csv":
        return _Download(export, _table(exports, export), "text/csv", "invoices.csv")
    files = _files(request, exports, export, documents)
    return _Download(export, packed(files), "application/zip", "invoices.zip")


class _Download(StreamingResponse):
    """A file that is written while it is read; its export ends with it, however it ends."""

    def __init__(
        self,
        export: InvoiceExport,
        pieces: AsyncGenerator[bytes, None],
        media_type: str,
        name: str,
    ) -> None:
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        super().__init__(pieces, media_type=media_type, headers=headers)
        self._export = export
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with aclosing(self._pieces):
                await super().__call__(scope, receive, send)
        finally:
            self._export.close()


async def _table(exports: InvoiceExports, export: InvoiceExport) -> AsyncGenerator[bytes, None]:
    heading = (",".join(COLUMNS) + "\r\n").encode()
    yield heading
    async for invoice in export.invoices():
        yield exports.csv(invoice).removeprefix(heading)


async def _files(
    request: Request, exports: InvoiceExports, export: InvoiceExport, documents: Documents
) -> AsyncGenerator[Packed, None]:
    async for invoice in export.invoices():
        name = file_name(invoice.number or encode_id("inv", invoice.id))
        at = invoice.issued_at or invoice.created_at
        yield Packed(
            f"{name}.{documents}", at, await _content(request, exports, invoice, documents)
        )


async def _content(
    request: Request, exports: InvoiceExports, invoice: Invoice, documents: Documents
) -> bytes:
    match documents:
        case "pdf":
            return await exports.pdf(invoice)
        case "html":
            return exports.html(invoice)
        case "csv":
            return exports.csv(invoice)
        case "json":
            return shown(request, invoice).model_dump_json().encode()


def _period(start: datetime | None, end: datetime | None) -> Period:
    start, end = start or EARLIEST, end or LATEST
    if end <= start:
        raise PeriodBackwards(reason="the period ends before it begins")
    return Period(start, end)
