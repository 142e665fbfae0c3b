"""Usage and quotas over HTTP."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from app.infra.http.lane import HotRoute
from app.infra.http.principal import needs
from app.infra.http.provide import provide
from app.infra.http.schemas import InstantIn, PageOut, Paging
from app.kernel.principal import Permission, Principal
from app.usage.domain import EventFilter
from app.usage.router import hot_events as hot
from app.usage.router.hot_document import document
from app.usage.schemas.usage import (
    BatchOut,
    CheckIn,
    CheckOut,
    DashboardOut,
    EntitlementOut,
    QuotasOut,
    RecordedOut,
    SummaryOut,
    TimeseriesOut,
    UsageEventOut,
    VoidIn,
)
from app.usage.service.corrections import UsageCorrections
from app.usage.service.usage import UsageService
from app.usage.wire import cloudevents
from app.usage.wire.events import BATCH, EVENT

ingest = APIRouter(prefix="/usage/events", tags=["usage"], route_class=HotRoute)
router = APIRouter(prefix="/usage", tags=["usage"])
standing = APIRouter(prefix="/billing", tags=["usage"], route_class=HotRoute)
quotas = APIRouter(prefix="/billing", tags=["usage"])

Usage = Annotated[UsageService, provide(UsageService)]
Corrections = Annotated[UsageCorrections, provide(UsageCorrections)]
Reader = Annotated[Principal, needs(Permission.USAGE_READ)]
Writer = Annotated[Principal, needs(Permission.USAGE_WRITE)]
BillingReader = Annotated[Principal, needs(Permission.BILLING_READ)]
ARCHIVED: dict[int | str, dict[str, Any]] = {
    410: {"description": "`event_archived`: that month's events were exported and dropped."}
}
Since = Annotated[InstantIn | None, Query(description="From this instant on.")]
Until = Annotated[InstantIn | None, Query(description="Before this instant.")]
Word = Annotated[str | None, Query(min_length=1, max_length=200)]
EventName = Annotated[
    str, Path(min_length=1, max_length=255, description="The caller's id, or ours (`evt_…`).")
]


async def event_filter(
    type: Word = None,  # noqa: A002 - the name of the query parameter
    since: Since = None,
    until: Until = None,
    debate_id: Word = None,
    workspace: Word = None,
    agent: Word = None,
    model: Word = None,
    user_id: Word = None,
) -> EventFilter:
    return EventFilter(type, since, until, debate_id, workspace, agent, model, user_id)


@ingest.post(
    "",
    status_code=201,
    response_model=RecordedOut,
    responses={200: {"model": RecordedOut, "description": "A repeat; nothing was recorded."}},
    dependencies=[needs(Permission.USAGE_WRITE)],
    openapi_extra=document(
        EVENT,
        cloudevents.SINGLE,
        debate={
            "value": {
                "id": "debate-42-round-1",
                "type": "debate",
                "provider": "anthropic",
                "model": "claude-sonnet-4",
                "tokens_in": 1500,
                "tokens_out": 800,
            }
        },
    ),
)
async def record_usage_event(request: Request) -> Response:
    """Record one event: once for its id, for ever, and committed before the answer.

    The same content again is answered 200 `duplicate`; other content under the same id is a 409
    and the first stays. Without an `id`, the `Idempotency-Key` header is the id. `cached_tokens`
    and `cache_write_tokens` are parts of `tokens_in`, `reasoning_tokens` of `tokens_out`. Instead
    of counts, `raw_usage` takes the usage object of OpenAI, Anthropic or Gemini as it came, with
    `provider`; of a streamed answer, the list of its usage objects. Of a CloudEvent the `id` alone
    names the event, whatever its `source`. A `tokens` event is no `api_call`; who meters both
    sends both.
    """
    return await hot.RECORD_EVENT.answer(request)


@ingest.post(
    "/batch",
    status_code=200,
    response_model=BatchOut,
    dependencies=[needs(Permission.USAGE_WRITE)],
    openapi_extra=document(
        BATCH,
        cloudevents.BATCH,
        two={"value": {"events": [{"id": "a", "type": "debate"}, {"id": "b", "type": "tts"}]}},
    ),
)
async def record_usage_batch(request: Request) -> Response:
    """Record up to 1,000 events. Each is answered for itself; a wrong one does not stop the rest."""
    return await hot.RECORD_BATCH.answer(request)


@router.get("/events", response_model=PageOut[UsageEventOut], status_code=200, responses=ARCHIVED)
async def list_usage_events(
    usage: Usage,
    principal: Reader,
    shown: Annotated[EventFilter, Depends(event_filter)],
    paging: Paging,
) -> PageOut[UsageEventOut]:
    """Events by when they happened, latest first; voided ones are marked.

    With filters a page looks at 100,000 events at most: it may be short, even empty, while
    `has_more` is true. Go on with `next_cursor`, or narrow it with `since` and `until`.
    """
    page = await usage.list_for_organization(principal.organization, shown, paging)
    return PageOut.of(page, UsageEventOut.from_domain)


@router.get(
    "/events/{event_id}",
    response_model=UsageEventOut,
    status_code=200,
    responses=ARCHIVED,
)
async def get_usage_event(usage: Usage, principal: Reader, event_id: EventName) -> UsageEventOut:
    """One event, by the id you gave it or by ours."""
    return UsageEventOut.from_domain(await usage.get(principal.organization, event_id))


@router.post(
    "/events/{event_id}/void",
    response_model=UsageEventOut,
    status_code=200,
    responses=ARCHIVED,
)
async def void_usage_event(
    body: VoidIn, corrections: Corrections, principal: Writer, event_id: EventName
) -> UsageEventOut:
    """Make an event count for nothing; sums, cost and quota follow. Its id cannot come again."""
    event = await corrections.void(principal.organization, event_id, body.reason)
    return UsageEventOut.from_domain(event)


@router.post("/check", response_model=CheckOut, status_code=200)
async def check_usage(body: CheckIn, usage: Usage, principal: Reader) -> CheckOut:
    """Whether so much would fit now. This is advice: others may use it meanwhile."""
    quota = await usage.quota(principal.organization, body.metric)
    return CheckOut.from_domain(quota, body.quantity)


@router.get("/summary", response_model=SummaryOut, status_code=200, responses=ARCHIVED)
async def summarize_usage(
    usage: Usage, principal: Reader, since: Since = None, until: Until = None
) -> SummaryOut:
    """What was used, exactly, in `[since, until)`; without them in the current quota window."""
    return SummaryOut.from_domain(await usage.summary(principal.organization, since, until))


@router.get("/timeseries", response_model=TimeseriesOut, status_code=200)
async def usage_timeseries(
    usage: Usage,
    principal: Reader,
    since: Since = None,
    until: Until = None,
    granularity: Literal["hour", "day", "week", "month"] = "day",
    group_by: Literal["type", "model", "provider", "workspace", "agent", "user"] | None = None,
) -> TimeseriesOut:
    """Usage by hour, day, week or month, in UTC; buckets without usage are left out.

    The stretch is widened to whole hours, and to whole days for workspaces, agents and users and
    before the last 90 days, which are kept by day (422 `finer_than_kept` by the hour).
    """
    period, points = await usage.timeseries(
        principal.organization, since, until, granularity, group_by
    )
    return TimeseriesOut.from_domain(period, points, granularity, group_by)


@standing.get(
    "/quota",
    response_model=QuotasOut,
    status_code=200,
    dependencies=[needs(Permission.USAGE_READ)],
)
async def list_quotas(request: Request) -> Response:
    """Every metric with its limit, what is used and held of it, and when it resets."""
    return await hot.QUOTAS.answer(request)


@quotas.get("/usage", response_model=DashboardOut, status_code=200)
async def show_usage(usage: Usage, principal: Reader) -> DashboardOut:
    """What a dashboard shows: today, this month, every quota, and credits where there are any."""
    return DashboardOut.from_domain(await usage.dashboard(principal.organization))


@quotas.get("/entitlements/{feature}", response_model=EntitlementOut, status_code=200)
async def check_entitlement(
    usage: Usage,
    principal: BillingReader,
    feature: Annotated[str, Path(min_length=1, max_length=63)],
) -> EntitlementOut:
    """Whether your plan includes a feature, and the lowest plan that would."""
    allowed, plan, upgrade = await usage.feature(principal.organization, feature)
    return EntitlementOut(feature=feature, allowed=allowed, plan=plan, upgrade_to=upgrade)
