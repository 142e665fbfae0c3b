"""Metered use, for customers and for operators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.infra.http.idempotency import IdempotentRoute
from app.infra.http.principal import CurrentOperator, needs
from app.infra.http.provide import provide
from app.infra.http.schemas import PageOut, Paging, prefixed_id
from app.kernel.principal import Permission, Principal
from app.metered.domain import BatchState
from app.metered.schemas import BatchId, MeteredBatchOut, MeteredSummaryOut
from app.metered.service import BatchService, MeteredSummaries

router = APIRouter(prefix="/billing", tags=["usage"])
operators = APIRouter(prefix="/admin/metered", tags=["admin"], route_class=IdempotentRoute)

Reader = Annotated[Principal, needs(Permission.BILLING_READ)]
Summaries = Annotated[MeteredSummaries, provide(MeteredSummaries)]
Batches = Annotated[BatchService, provide(BatchService)]
Whose = prefixed_id("org")
Stuck = Annotated[bool, Query(description="Only what somebody must look at.")]


@router.get("/metered", response_model=MeteredSummaryOut, status_code=200)
async def get_metered_usage(principal: Reader, summaries: Summaries) -> MeteredSummaryOut:
    """What was used in this period of everything that Stripe bills by use.

    Ours is exact; Stripe's sum comes a little later, and `pending` is the difference. Plans
    without metered prices have an empty list.
    """
    return MeteredSummaryOut.from_domain(await summaries.of(principal.organization))


@operators.get("/batches", response_model=PageOut[MeteredBatchOut], status_code=200)
async def list_metered_batches(
    operator: CurrentOperator,
    batches: Batches,
    paging: Paging,
    organization_id: Whose | None = None,  # type: ignore[valid-type]
    state: BatchState | None = None,
    is_stuck: Stuck = False,
) -> PageOut[MeteredBatchOut]:
    """What Stripe was told of use, or could not be, the newest first."""
    page = await batches.list(paging, organization_id, state, is_stuck=is_stuck)
    return PageOut.of(page, MeteredBatchOut.from_domain)


@operators.post("/batches/{batch_id}/requeue", response_model=MeteredBatchOut, status_code=200)
async def requeue_metered_batch(
    operator: CurrentOperator, batch_id: BatchId, batches: Batches
) -> MeteredBatchOut:
    """Tell Stripe again of a refused or uncertain quantity, under a new identifier."""
    return MeteredBatchOut.from_domain(await batches.requeue(batch_id))
