"""Statements of account, for customers and for operators."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from app.infra.http.principal import CurrentOperator, needs
from app.infra.http.provide import provide
from app.infra.http.schemas import DayOrInstantIn, prefixed_id
from app.invoices.html import Pages
from app.invoices.router.files import a_file, a_page
from app.kernel.ids import OrganizationId
from app.kernel.principal import Permission, Principal
from app.statements.printing import table_of
from app.statements.schemas import StatementOut
from app.statements.service import Statements

router = APIRouter(prefix="/billing/statement", tags=["invoices"])
operators = APIRouter(prefix="/admin/organizations", tags=["admin"])

From = Annotated[
    DayOrInstantIn | None, Query(alias="from", description="The first of the month without it.")
]
To = Annotated[
    DayOrInstantIn | None, Query(alias="to", description="Not included; now without it.")
]
Form = Annotated[Literal["json", "pdf", "html", "csv"], Query(alias="format")]
Book = Annotated[Statements, provide(Statements)]
Look = Annotated[Pages, provide(Pages)]
Whose = prefixed_id("org")

_FILES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/pdf": {}, "text/html": {}, "text/csv": {}}},
}


@router.get("", response_model=StatementOut, responses=_FILES)
async def get_statement(
    principal: Annotated[Principal, needs(Permission.BILLING_READ)],
    statements: Book,
    pages: Look,
    start: From = None,
    end: To = None,
    form: Form = "json",
) -> StatementOut | Response:
    """Everything from `from` until before `to`, by currency: invoices of either origin, payments,
    credit notes, refunds, disputes and prepaid credit, with balances before, between and after.

    The closing balance of one period is the opening balance of the next. It is what is known
    today: a payment that is heard of late stands where it was made.
    """
    return await _answer(statements, pages, principal.organization, start, end, form)


@operators.get("/{organization_id}/statement", response_model=StatementOut, responses=_FILES)
async def get_statement_of_organization(
    operator: CurrentOperator,
    statements: Book,
    pages: Look,
    organization_id: Whose,  # type: ignore[valid-type]
    start: From = None,
    end: To = None,
    form: Form = "json",
) -> StatementOut | Response:
    """An organization's statement of account, as it reads it itself."""
    return await _answer(statements, pages, OrganizationId(organization_id), start, end, form)


async def _answer(
    statements: Statements,
    pages: Pages,
    organization_id: OrganizationId,
    start: datetime | None,
    end: datetime | None,
    form: str,
) -> StatementOut | Response:
    period = statements.period(start, end)
    name = f"statement-{period.start:%Y-%m-%d}-{period.end:%Y-%m-%d}"
    if form == "pdf":
        printed = await statements.print_pdf(organization_id, period)
        return a_file(printed, "application/pdf", f"{name}.pdf")
    if form == "html":
        return a_page(await statements.print_html(organization_id, period), pages.content_policy)
    statement = await statements.get(organization_id, period)
    if form == "csv":
        return a_file(table_of(statement).encode(), "text/csv", f"{name}.csv")
    return StatementOut.from_domain(statement)
