"""What an organization holds, buys and changes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Request, Response

from app.infra.http.idempotency import IdempotentRoute
from app.infra.http.lane import HotRoute
from app.infra.http.principal import needs
from app.infra.http.provide import provide
from app.kernel.principal import Permission, Principal
from app.subscriptions import hot
from app.subscriptions.domain import ChangeOutcome, ChangeResult
from app.subscriptions.schemas import (
    CancelIn,
    ChangeIn,
    ChangeOut,
    CheckoutIn,
    CheckoutOut,
    CheckoutStatusOut,
    PaymentMethodOut,
    PaymentMethodsOut,
    PortalIn,
    PortalOut,
    PreviewOut,
    SubscriptionOut,
)
from app.subscriptions.service import (
    ChangeService,
    CheckoutService,
    CheckoutVisits,
    SubscriptionService,
)

router = APIRouter(prefix="/billing", tags=["subscription"], route_class=IdempotentRoute)
hot_router = APIRouter(prefix="/billing", tags=["subscription"], route_class=HotRoute)

Reader = Annotated[Principal, needs(Permission.BILLING_READ)]
Buyer = Annotated[Principal, needs(Permission.BILLING_WRITE)]
Subscriptions = Annotated[SubscriptionService, provide(SubscriptionService)]
Checkouts = Annotated[CheckoutService, provide(CheckoutService)]
Changes = Annotated[ChangeService, provide(ChangeService)]

_PENDING: dict[int | str, dict[str, Any]] = {
    202: {"model": ChangeOut, "description": "Accepted; it holds once it is paid at `pay_url`."}
}


@hot_router.get(
    "/subscription",
    response_model=SubscriptionOut,
    status_code=200,
    dependencies=[needs(Permission.BILLING_READ)],
)
async def get_subscription(request: Request) -> Response:
    """What the organization holds and what is granted now; without one, `status` is `none`."""
    return await hot.SUBSCRIPTION.answer(request)


@router.post("/checkout", response_model=CheckoutOut, status_code=201)
async def open_checkout(principal: Buyer, body: CheckoutIn, checkouts: Checkouts) -> CheckoutOut:
    """Open a page to pay for a plan; while it is open, asking again returns the same page."""
    link = await checkouts.open(principal.organization, body.to_domain(), principal.email)
    return CheckoutOut.from_domain(link)


@router.get("/checkout/{checkout_id}", response_model=CheckoutStatusOut, status_code=200)
async def get_checkout_status(
    principal: Reader,
    checkout_id: Annotated[str, Path(max_length=255)],
    visits: Annotated[CheckoutVisits, provide(CheckoutVisits)],
) -> CheckoutStatusOut:
    """How a page stands, for whoever returned from it: poll until `is_active`, or until it ends."""
    visit = await visits.status(principal.organization, checkout_id)
    return CheckoutStatusOut.model_validate(visit)


@router.post("/portal", response_model=PortalOut, status_code=201)
async def open_billing_portal(
    principal: Buyer, body: PortalIn, subscriptions: Subscriptions
) -> PortalOut:
    """Open a page where the customer manages cards, invoices and the subscription."""
    url = await subscriptions.open_portal(principal.organization, body.return_url, principal.email)
    return PortalOut(url=url)


@router.post("/subscription/preview", response_model=PreviewOut, status_code=200)
async def preview_subscription_change(
    principal: Buyer, body: ChangeIn, changes: Changes
) -> PreviewOut:
    """What a change of plan would bill, and when it would hold. Changes nothing."""
    preview = await changes.preview(principal.organization, body.plan, body.interval)
    return PreviewOut.from_domain(preview)


@router.post("/subscription/change", response_model=ChangeOut, status_code=200, responses=_PENDING)
async def change_subscription(
    principal: Buyer,
    body: ChangeIn,
    changes: Changes,
    subscriptions: Subscriptions,
    response: Response,
) -> ChangeOut:
    """Move to another plan: a better one when it is paid, a lesser one at the period's end."""
    result = await changes.change(principal.organization, body.plan, body.interval)
    return await _answer(principal, result, subscriptions, response)


@router.post("/subscription/cancel", response_model=ChangeOut, status_code=200, responses=_PENDING)
async def cancel_subscription(
    principal: Buyer,
    body: Annotated[CancelIn, Body(default_factory=CancelIn)],
    changes: Changes,
    subscriptions: Subscriptions,
    response: Response,
) -> ChangeOut:
    """End the subscription when the paid period runs out, or at once."""
    result = await changes.cancel(
        principal.organization, at_period_end=body.at_period_end, reason=body.reason
    )
    return await _answer(principal, result, subscriptions, response)


@router.post("/subscription/resume", response_model=ChangeOut, status_code=200, responses=_PENDING)
async def resume_subscription(
    principal: Buyer, changes: Changes, subscriptions: Subscriptions, response: Response
) -> ChangeOut:
    """Take back a scheduled cancellation, or start again after a pause."""
    result = await changes.resume(principal.organization)
    return await _answer(principal, result, subscriptions, response)


@router.get("/payment-methods", response_model=PaymentMethodsOut, status_code=200)
async def list_payment_methods(
    principal: Reader, subscriptions: Subscriptions
) -> PaymentMethodsOut:
    """The saved cards and other ways to pay, newest first."""
    saved = await subscriptions.payment_methods(principal.organization)
    return PaymentMethodsOut(data=[PaymentMethodOut.from_domain(method) for method in saved])


async def _answer(
    principal: Principal,
    result: ChangeResult,
    subscriptions: SubscriptionService,
    response: Response,
) -> ChangeOut:
    if result.outcome is ChangeOutcome.PENDING:
        response.status_code = 202
    return ChangeOut.of(result, await subscriptions.current(principal.organization))
