"""Cost breakdowns and reports over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.infra.http.provide import provide
from app.usage.router.events import ARCHIVED, Reader, Since, Until
from app.usage.schemas.costs import BreakdownOut, CostReportOut, Granularity, GroupBy
from app.usage.service.costs import CostReports

router = APIRouter(prefix="/costs", tags=["costs"])

Reports = Annotated[CostReports, provide(CostReports)]


@router.get("/breakdown", response_model=BreakdownOut, status_code=200, responses=ARCHIVED)
async def break_down_costs(
    reports: Reports, principal: Reader, since: Since = None, until: Until = None
) -> BreakdownOut:
    """What cost what, by provider, model, agent, workspace, user, debate, request type, API key.

    A name is null where nothing under it has a price yet: such usage waits for one and is in no
    sum. Without `since` and `until`, in the current quota window.
    """
    return BreakdownOut.from_domain(await reports.breakdown(principal.organization, since, until))


@router.get("/report", response_model=CostReportOut, status_code=200, responses=ARCHIVED)
async def report_costs(
    reports: Reports,
    principal: Reader,
    since: Since = None,
    until: Until = None,
    granularity: Granularity = "daily",
    group_by: GroupBy | None = None,
    top: Annotated[int, Query(ge=1, le=100, description="Names in each top list.")] = 10,
) -> CostReportOut:
    """What usage cost, its course by hour, day, ISO week or month in UTC, and the dearest names.

    Sums come from rollups, exact to the instant. Savings of cached tokens are what they would
    have cost as input less what they did, by the price of each hour. Latency percentiles are of
    the latest 100,000 events within 31 days, null once those are archived. Hours are kept for 90 days; agents, users and the
    like are shown by the hour for 31 days at most.
    """
    found = await reports.report(principal.organization, since, until, granularity, group_by)
    return CostReportOut.from_domain(found, top)
