"""Forecasts, anomalies, patterns and the return on investment over HTTP."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Query

from app.infra.http.principal import needs
from app.infra.http.provide import provide
from app.insights.roi_schemas import RoiIn, RoiInputsOut, RoiOut, short
from app.insights.roi_service import Given, RoiService
from app.insights.schemas import AnomaliesOut, ForecastOut, PatternsOut
from app.insights.service import InsightService
from app.kernel.principal import Permission, Principal

router = APIRouter(prefix="/costs", tags=["costs"])
returns = APIRouter(tags=["costs"])

Insights = Annotated[InsightService, provide(InsightService)]
Returns = Annotated[RoiService, provide(RoiService)]
Reader = Annotated[Principal, needs(Permission.USAGE_READ)]


@router.get("/forecast", response_model=ForecastOut, status_code=200)
async def forecast_costs(
    insights: Insights,
    principal: Reader,
    days_ahead: Annotated[int, Query(ge=1, le=366)] = 30,
) -> ForecastOut:
    """What today and the days after it are likely to cost, with bounds that hold in 8 of 10 cases.

    From the whole days of the last 120, by the theta method with a weekly season; with fewer than
    two weeks, their mean goes on, and with fewer than one nothing is said. An estimate, no promise.
    """
    return ForecastOut.from_domain(await insights.forecast(principal.organization, days_ahead))


@router.get("/anomalies", response_model=AnomaliesOut, status_code=200)
async def find_cost_anomalies(
    insights: Insights,
    principal: Reader,
    days: Annotated[int, Query(ge=1, le=90)] = 30,
    group_by: Literal["model", "provider", "agent", "workspace", "user"] | None = None,
) -> AnomaliesOut:
    """Days that cost far more or less than the same weekdays before them, latest first.

    What is expected is the median of the last four of that weekday; 3.5 median absolute
    deviations (as standard deviations) stand out. With `group_by`, of the twenty dearest names.
    """
    return AnomaliesOut.from_domain(
        await insights.anomalies(principal.organization, days, group_by)
    )


@router.get("/patterns", response_model=PatternsOut, status_code=200)
async def show_cost_patterns(insights: Insights, principal: Reader) -> PatternsOut:
    """What recurs in the last four whole weeks, and how they compare with the four before."""
    return PatternsOut.from_domain(await insights.patterns(principal.organization))


@returns.post("/roi", response_model=RoiOut, status_code=200)
async def calculate_roi(
    service: Returns,
    principal: Reader,
    body: Annotated[RoiIn | None, Body()] = None,
) -> RoiOut:
    """What debates saved against deciding by hand: cost, time, and when the plan has paid off.

    Debates and their cost are your usage of the stretch (by default the current window), unless
    you give them. Nothing is stored; the formula and every figure that went in are in the answer.
    """
    body = body or RoiIn()
    answer = await service.compare(
        principal.organization,
        body.to_effort(),
        body.since,
        body.until,
        Given(body.debates, body.usage_cost_usd, body.subscription_cost_usd),
    )
    inputs = RoiInputsOut(
        since=answer.since,
        until=answer.until,
        debates=answer.period.debates,
        usage_cost_usd=answer.period.usage_cost,
        subscription_cost_usd=short(answer.period.subscription_cost),
        unpriced_events=answer.unpriced_events,
        people_per_decision=body.people_per_decision,
        hours_per_decision=body.hours_per_decision,
        hourly_cost_usd=body.hourly_cost_usd,
        review_hours_per_debate=body.review_hours_per_debate,
    )
    return RoiOut.of(answer.roi, inputs)
