"""Looking for differences on demand, and at what was found."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.infra.http.idempotency import IdempotentRoute
from app.infra.http.principal import CurrentOperator
from app.infra.http.provide import provide
from app.infra.http.schemas import PageOut, Paging
from app.reconciliation.schemas import ReconciliationOut
from app.reconciliation.service import ReconciliationService

router = APIRouter(prefix="/admin/reconciliation", tags=["admin"], route_class=IdempotentRoute)

Desk = Annotated[ReconciliationService, provide(ReconciliationService)]


@router.post("", response_model=ReconciliationOut, status_code=200)
async def reconcile_with_stripe(
    operator: CurrentOperator,
    desk: Desk,
    customers: Annotated[int, Query(ge=1, le=200)] = 25,
) -> ReconciliationOut:
    """Take in what Stripe could not deliver and compare so many customers, from where the last
    run ended. What differs is repaired and reported by kind. A job does the same every hour."""
    return ReconciliationOut.from_domain(await desk.reconcile("operator", customers=customers))


@router.get("", response_model=PageOut[ReconciliationOut], status_code=200)
async def list_reconciliations(
    operator: CurrentOperator, desk: Desk, paging: Paging
) -> PageOut[ReconciliationOut]:
    """What past runs found, the newest first."""
    return PageOut.of(await desk.list(paging), ReconciliationOut.from_domain)
