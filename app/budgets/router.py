"""Budgets over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Header, Path, Query, Response

from app.budgets.schemas import (
    AlertOut,
    BudgetId,
    BudgetIn,
    BudgetOut,
    BudgetPatch,
    BudgetReasonIn,
    BudgetVerdictOut,
    DebateBudgetIn,
    OverrideId,
    OverrideIn,
    OverrideOut,
    SpendCheckIn,
    SpendCheckOut,
    SpendIn,
    SpendOut,
)
from app.budgets.service.alerts import AlertService
from app.budgets.service.budgets import BudgetService
from app.budgets.service.overrides import OverrideService
from app.budgets.service.spending import Spending, SpendingService
from app.infra.http.idempotency import IdempotentRoute
from app.infra.http.principal import needs
from app.infra.http.provide import provide
from app.infra.http.schemas import PageOut, Paging
from app.kernel.clock import Clock
from app.kernel.principal import Permission, Principal
from app.usage.errors import EventIdMissing
from app.usage.service.submission import Spender
from app.usage.spend import SpendScope

router = APIRouter(prefix="/budgets", tags=["budgets"], route_class=IdempotentRoute)
debates = APIRouter(prefix="/debates", tags=["budgets"])

Budgets = Annotated[BudgetService, provide(BudgetService)]
Overrides = Annotated[OverrideService, provide(OverrideService)]
Alerts = Annotated[AlertService, provide(AlertService)]
SpendingBook = Annotated[SpendingService, provide(SpendingService)]
Time = Annotated[Clock, provide(Clock)]
Reader = Annotated[Principal, needs(Permission.BUDGETS_READ)]
Keeper = Annotated[Principal, needs(Permission.BUDGETS_WRITE)]
Writer = Annotated[Principal, needs(Permission.USAGE_WRITE)]
DebateName = Annotated[str, Path(min_length=1, max_length=200)]


@router.get("", response_model=PageOut[BudgetOut], status_code=200)
async def list_budgets(
    principal: Reader,
    budgets: Budgets,
    clock: Time,
    paging: Paging,
    scope: SpendScope | None = None,
) -> PageOut[BudgetOut]:
    """Your organization's budgets with their running figures, the latest first."""
    page = await budgets.list(principal.organization, paging, scope)
    return PageOut.of(page, lambda budget: BudgetOut.of(budget, clock.now()))


@router.post("", response_model=BudgetOut, status_code=201)
async def create_budget(
    body: BudgetIn, principal: Keeper, budgets: Budgets, clock: Time
) -> BudgetOut:
    """Make a budget. What its running period has spent before counts; it holds at once."""
    budget = await budgets.create(
        principal.organization, body.to_subject(), body.to_terms(), actor=principal.actor
    )
    return BudgetOut.of(budget, clock.now())


@router.post("/check", response_model=SpendCheckOut, status_code=200)
async def check_budgets(
    body: SpendCheckIn, principal: Reader, spending: SpendingBook, clock: Time
) -> SpendCheckOut:
    """Whether an amount may be spent now, and what each budget says. Advice: nothing is held."""
    verdicts = await spending.check(
        principal.organization,
        body.labels(body.api_key_id or principal.api_key_id),
        body.amount_usd,
        spender=Spender.of(principal),
    )
    refusal = next((each.refusal for each in verdicts if each.refusal is not None), None)
    return SpendCheckOut(
        allowed=refusal is None,
        reason=refusal,
        budgets=[
            BudgetVerdictOut(
                **dict(BudgetOut.of(each.budget, clock.now())),
                allowed=each.refusal is None,
                reason=each.refusal,
            )
            for each in verdicts
        ],
    )


@router.post(
    "/spend",
    response_model=SpendOut,
    status_code=201,
    responses={200: {"model": SpendOut, "description": "A repeat; nothing was recorded."}},
)
async def record_spend(
    body: SpendIn,
    response: Response,
    principal: Writer,
    spending: SpendingBook,
    clock: Time,
    enforce: Annotated[
        bool, Query(description="Refuse with 402 what does not fit in a budget.")
    ] = False,
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> SpendOut:
    """Record money that was not spent on a call to a model, once for its `id`.

    It is stored as a usage event of the type `spend` whose cost you give, so summaries, cost
    breakdowns and voiding treat it as any other.
    """
    key = body.id or idempotency_key
    if key is None:
        raise EventIdMissing
    labels = body.labels(principal.api_key_id)
    recorded = await spending.record(
        principal.organization,
        Spending(key, body.amount_usd, labels, body.occurred_at, body.description),
        enforce=enforce,
        spender=Spender.of(principal),
    )
    if recorded.is_repeat:
        response.status_code = 200
    return SpendOut(
        id=key,
        event_id=recorded.event_id,
        status="duplicate" if recorded.is_repeat else "recorded",
        amount_usd=body.amount_usd,
        budgets=[
            BudgetOut.of(budget, clock.now())
            for budget in await spending.met_by(principal.organization, labels)
        ],
    )


@router.get("/alerts", response_model=PageOut[AlertOut], status_code=200)
async def list_budget_alerts(
    principal: Reader,
    alerts: Alerts,
    paging: Paging,
    budget_id: BudgetId | None = None,
) -> PageOut[AlertOut]:
    """Thresholds that were reached, the latest first; each once in its period."""
    page = await alerts.list_for_organization(principal.organization, paging, budget_id)
    return PageOut.of(page, AlertOut.of)


@router.get("/{budget_id}", response_model=BudgetOut, status_code=200)
async def get_budget(
    budget_id: BudgetId, principal: Reader, budgets: Budgets, clock: Time
) -> BudgetOut:
    """One budget with its running figures."""
    return BudgetOut.of(await budgets.get(principal.organization, budget_id), clock.now())


@router.patch("/{budget_id}", response_model=BudgetOut, status_code=200)
async def change_budget(
    budget_id: BudgetId, body: BudgetPatch, principal: Keeper, budgets: Budgets, clock: Time
) -> BudgetOut:
    """Change a budget's name, amount, thresholds or auto_suspend; what was spent stays counted."""
    budget = await budgets.change(principal.organization, budget_id, body.changes())
    return BudgetOut.of(budget, clock.now())


@router.delete("/{budget_id}", status_code=204)
async def delete_budget(budget_id: BudgetId, principal: Keeper, budgets: Budgets) -> None:
    """Delete a budget with its overrides; nothing is refused for it from now on."""
    await budgets.delete(principal.organization, budget_id)


@router.post("/{budget_id}/suspend", response_model=BudgetOut, status_code=200)
async def suspend_budget(
    budget_id: BudgetId,
    principal: Keeper,
    budgets: Budgets,
    clock: Time,
    body: Annotated[BudgetReasonIn | None, Body()] = None,
) -> BudgetOut:
    """Refuse every reservation and enforced event that the budget covers, until it is resumed."""
    reason = body.reason if body else None
    budget = await budgets.suspend(principal.organization, budget_id, reason)
    return BudgetOut.of(budget, clock.now())


@router.post("/{budget_id}/resume", response_model=BudgetOut, status_code=200)
async def resume_budget(
    budget_id: BudgetId,
    principal: Keeper,
    budgets: Budgets,
    clock: Time,
    body: Annotated[BudgetReasonIn | None, Body()] = None,
) -> BudgetOut:
    """End a suspension, whoever imposed it. Limits go on to hold."""
    reason = body.reason if body else None
    budget = await budgets.resume(principal.organization, budget_id, reason)
    return BudgetOut.of(budget, clock.now())


@router.post("/{budget_id}/overrides", response_model=OverrideOut, status_code=201)
async def grant_budget_override(
    budget_id: BudgetId, body: OverrideIn, principal: Keeper, overrides: Overrides, clock: Time
) -> OverrideOut:
    """Let someone, or everybody, pass a budget for a while, its suspension too."""
    grant = await overrides.grant(
        principal.organization,
        budget_id,
        user_id=body.user_id,
        until=body.end(clock.now()),
        reason=body.reason,
        actor=principal.actor,
    )
    return OverrideOut.of(grant)


@router.get("/{budget_id}/overrides", response_model=PageOut[OverrideOut], status_code=200)
async def list_budget_overrides(
    budget_id: BudgetId, principal: Reader, overrides: Overrides, paging: Paging
) -> PageOut[OverrideOut]:
    """Overrides of a budget, the latest first, those that have ended too."""
    page = await overrides.list_for_budget(principal.organization, budget_id, paging)
    return PageOut.of(page, OverrideOut.of)


@router.delete("/{budget_id}/overrides/{override_id}", status_code=204)
async def end_budget_override(
    budget_id: BudgetId, override_id: OverrideId, principal: Keeper, overrides: Overrides
) -> None:
    """Take an override back before it ends by itself."""
    await overrides.end(principal.organization, budget_id, override_id)


@debates.put("/{debate_id}/budget", response_model=BudgetOut, status_code=200)
async def put_debate_budget(
    debate_id: DebateName, body: DebateBudgetIn, principal: Keeper, budgets: Budgets, clock: Time
) -> BudgetOut:
    """Give a debate a budget for as long as it lasts, or change the one it has."""
    budget = await budgets.put_for_debate(
        principal.organization, debate_id, body.changes(), actor=principal.actor
    )
    return BudgetOut.of(budget, clock.now())


@debates.get("/{debate_id}/budget", response_model=BudgetOut, status_code=200)
async def get_debate_budget(
    debate_id: DebateName, principal: Reader, budgets: Budgets, clock: Time
) -> BudgetOut:
    """A debate's budget with what it has spent."""
    budget = await budgets.get_for_debate(principal.organization, debate_id)
    return BudgetOut.of(budget, clock.now())


@debates.delete("/{debate_id}/budget", status_code=204)
async def delete_debate_budget(debate_id: DebateName, principal: Keeper, budgets: Budgets) -> None:
    """Take a debate's budget away."""
    await budgets.delete_for_debate(principal.organization, debate_id)
