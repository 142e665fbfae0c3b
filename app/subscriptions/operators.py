"""Plans that operators give."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from app.infra.http.idempotency import IdempotentRoute
from app.infra.http.principal import CurrentOperator
from app.infra.http.provide import provide
from app.infra.http.schemas import prefixed_id
from app.subscriptions.schemas import ManualPlanIn, ManualPlanOut, WithdrawalIn
from app.subscriptions.service import ManualPlanService

router = APIRouter(
    prefix="/admin/organizations/{organization_id}/plan",
    tags=["admin"],
    route_class=IdempotentRoute,
)

Manual = Annotated[ManualPlanService, provide(ManualPlanService)]
Whose = prefixed_id("org")


@router.post("", response_model=ManualPlanOut, status_code=201)
async def give_plan(
    operator: CurrentOperator,
    organization_id: Whose,  # type: ignore[valid-type]
    body: ManualPlanIn,
    manual: Manual,
) -> ManualPlanOut:
    """Give an organization a plan until an instant, in place of one that was given before.

    What it buys goes on beside it, and the higher of both counts; no event of Stripe's takes the
    given plan back before its end.
    """
    given = await manual.give(
        organization_id,
        body.plan,
        body.ends_at,
        body.reason,
        operator.user_id,
        billing=body.billing,
        usage_billing=body.usage_billing,
    )
    return ManualPlanOut.model_validate(given)


@router.get("", response_model=ManualPlanOut, status_code=200)
async def get_given_plan(
    operator: CurrentOperator,
    organization_id: Whose,  # type: ignore[valid-type]
    manual: Manual,
) -> ManualPlanOut:
    """The plan that is given now; 404 without one."""
    return ManualPlanOut.model_validate(await manual.current(organization_id))


@router.post("/withdraw", status_code=204)
async def withdraw_plan(
    operator: CurrentOperator,
    organization_id: Whose,  # type: ignore[valid-type]
    body: WithdrawalIn,
    manual: Manual,
) -> None:
    """End the given plan before its time; what is bought counts again at once."""
    await manual.withdraw(organization_id, body.reason)
