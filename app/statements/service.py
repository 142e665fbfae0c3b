"""Statements of account, as data and as documents."""

from __future__ import annotations

from datetime import UTC, datetime

from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.document import Party
from app.invoices.errors import PeriodBackwards
from app.invoices.html import Pages
from app.invoices.pdf import Press
from app.invoices.service.details import BillingDetailsService
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId
from app.kernel.periods import Period
from app.organizations.service import OrganizationService
from app.statements.domain import Statement, statement_of
from app.statements.errors import StatementTooLong
from app.statements.printing import paper_of
from app.statements.queries import StatementQueries

MOST_LINES = 5000
"""A year of a busy customer; a document of more is read by nobody."""


class Statements:
    """Worked out anew each time from what is known now."""

    def __init__(
        self,
        work: UnitOfWork,
        queries: StatementQueries,
        organizations: OrganizationService,
        details: BillingDetailsService,
        seller: Party,
        press: Press,
        pages: Pages,
        clock: Clock,
    ) -> None:
        self._work = work
        self._queries = queries
        self._organizations = organizations
        self._details = details
        self._seller = seller
        self._press = press
        self._pages = pages
        self._clock = clock

    def period(self, start: datetime | None, end: datetime | None) -> Period:
        """`[start, end)`; by default from the first of the month until now.

        Raises `PeriodBackwards`.
        """
        end = end or self._clock.now()
        start = start or datetime(end.year, end.month, 1, tzinfo=UTC)
        if end <= start:
            raise PeriodBackwards(reason="the period ends before it begins")
        return Period(start, end)

    async def get(self, organization_id: OrganizationId, period: Period) -> Statement:
        """Raises `StatementTooLong`, `OrganizationNotFound`."""
        async with self._work.begin(organization_id):
            await self._organizations.get(organization_id)
            found = await self._queries.lines(organization_id, period, MOST_LINES + 1)
        if sum(row.at is not None for row in found) > MOST_LINES:
            raise StatementTooLong(reason="too many lines", most=MOST_LINES)
        return statement_of(period, found)

    async def print_pdf(self, organization_id: OrganizationId, period: Period) -> bytes:
        paper = paper_of(
            await self.get(organization_id, period),
            self._seller,
            await self._customer(organization_id),
        )
        return await paper.print(self._press)

    async def print_html(self, organization_id: OrganizationId, period: Period) -> str:
        statement = await self.get(organization_id, period)
        customer = await self._customer(organization_id)
        return paper_of(statement, self._seller, customer).page(self._pages)

    async def _customer(self, organization_id: OrganizationId) -> Party:
        async with self._work.begin(organization_id):
            organization = await self._organizations.get(organization_id)
            return (await self._details.get(organization_id)).party(organization.name)
