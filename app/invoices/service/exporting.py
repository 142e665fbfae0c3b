"""All invoices of a period, handed out one at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from uuid import UUID

from app.infra.db.unit_of_work import UnitOfWork
from app.infra.export_places import ExportPlace, ExportPlaces
from app.invoices.domain import Invoice
from app.invoices.html import Pages
from app.invoices.pdf import Press
from app.invoices.repository.invoices import InvoiceRepository
from app.invoices.service.aftermath import Aftermath
from app.invoices.service.reading import document_of, page_of
from app.invoices.table import render_csv
from app.kernel.ids import OrganizationId
from app.kernel.periods import Period

PAGE = 20
AT_ONCE = 2
_RETRY_SECONDS = 30


class InvoiceExport:
    """One export under way. Whoever opened it closes it, or its place stays taken."""

    def __init__(
        self,
        exports: InvoiceExports,
        place: ExportPlace,
        organization_id: OrganizationId,
        period: Period,
    ) -> None:
        self._exports = exports
        self._place = place
        self._organization_id = organization_id
        self._period = period

    async def invoices(self) -> AsyncGenerator[Invoice, None]:
        """Issued invoices, void ones too, oldest first. Nothing is held between two pages."""
        last: UUID | None = None
        while True:
            page = await self._exports.page(self._organization_id, self._period, last)
            for invoice in page:
                yield invoice
            if len(page) < PAGE:
                return
            last = page[-1].id

    def close(self) -> None:
        """Give the place back. The second call does nothing."""
        self._place.leave()


class InvoiceExports:
    """Exports of a process: one for each organization and few at once, because printing is work.

    Pages are units of their own, as with exports of usage: an issued invoice does not change, and
    what is issued meanwhile comes last.
    """

    def __init__(
        self,
        work: UnitOfWork,
        invoices: InvoiceRepository,
        aftermath: Aftermath,
        press: Press,
        pages: Pages,
    ) -> None:
        self._work = work
        self._invoices = invoices
        self._aftermath = aftermath
        self._press = press
        self._pages = pages
        self._places = ExportPlaces(in_all=AT_ONCE, each=1, retry_seconds=_RETRY_SECONDS)

    def open(self, organization_id: OrganizationId, period: Period) -> InvoiceExport:
        """Begin an export of what was issued in *period*. Raises `ExportsBusy`."""
        place = self._places.take(organization_id)
        return InvoiceExport(self, place, organization_id, period)

    async def page(
        self, organization_id: OrganizationId, period: Period, after: UUID | None
    ) -> list[Invoice]:
        async with self._work.begin(organization_id):
            found = await self._invoices.following(organization_id, period, after, PAGE)
            return await self._aftermath.of(organization_id, found)

    async def pdf(self, invoice: Invoice) -> bytes:
        return await self._press.invoice(document_of(invoice))

    def html(self, invoice: Invoice) -> bytes:
        return page_of(self._pages, invoice).encode()

    def csv(self, invoice: Invoice) -> bytes:
        return render_csv(document_of(invoice)).encode()
