"""Refunds and disputes, for operators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.infra.http.idempotency import IdempotentRoute
from app.infra.http.principal import CurrentOperator
from app.infra.http.provide import provide
from app.infra.http.schemas import PageOut, Paging, prefixed_id
from app.payments.domain import RefundStatus
from app.payments.schemas import DisputeOut, RefundId, RefundIn, RefundOut
from app.payments.service import DisputeService, RefundService

router = APIRouter(prefix="/admin", tags=["admin"], route_class=IdempotentRoute)

Refunds = Annotated[RefundService, provide(RefundService)]
Disputes = Annotated[DisputeService, provide(DisputeService)]
Whose = prefixed_id("org")
Openness = Annotated[bool | None, Query(description="Only open ones, or only closed ones.")]


@router.post("/refunds", response_model=RefundOut, status_code=201)
async def make_refund(operator: CurrentOperator, body: RefundIn, refunds: Refunds) -> RefundOut:
    """Give money back: all of a payment, or a part. A subscription is not touched by it.

    Never more than was paid, however many ask at once; nothing of a disputed charge. Where Stripe
    does not answer, the refund is `requested` and is made as soon as Stripe does.
    """
    return RefundOut.from_domain(await refunds.make(body.to_domain(), actor=operator.actor))


@router.get("/refunds", response_model=PageOut[RefundOut], status_code=200)
async def list_refunds(
    operator: CurrentOperator,
    refunds: Refunds,
    paging: Paging,
    organization_id: Whose | None = None,  # type: ignore[valid-type]
    status: RefundStatus | None = None,
) -> PageOut[RefundOut]:
    """Refunds of every organization, made here or at Stripe, the newest first."""
    page = await refunds.list(paging, organization_id, status)
    return PageOut.of(page, RefundOut.from_domain)


@router.get("/refunds/{refund_id}", response_model=RefundOut, status_code=200)
async def get_refund(
    operator: CurrentOperator,
    refund_id: RefundId,
    refunds: Refunds,
) -> RefundOut:
    """One refund, as it stands."""
    return RefundOut.from_domain(await refunds.get(refund_id))


@router.get("/disputes", response_model=PageOut[DisputeOut], status_code=200)
async def list_disputes(
    operator: CurrentOperator,
    disputes: Disputes,
    paging: Paging,
    organization_id: Whose | None = None,  # type: ignore[valid-type]
    is_open: Openness = None,
) -> PageOut[DisputeOut]:
    """Disputes and inquiries of every organization, the newest first."""
    page = await disputes.list(paging, organization_id, is_open=is_open)
    return PageOut.of(page, DisputeOut.from_domain)
