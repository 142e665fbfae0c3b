"""Reservations over HTTP."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import TypeAdapter
from starlette.responses import Response

from app.infra.http.lane import HotRoute
from app.infra.http.principal import needs
from app.infra.http.provide import provide
from app.infra.http.schemas import PageOut, Paging
from app.kernel.principal import Permission, Principal
from app.usage.holding import Held
from app.usage.router import hot_reservations as hot
from app.usage.schemas.reservations import CommittedOut, ReleasedOut, ReservationId, ReservationOut
from app.usage.service.reservations import Reservations
from app.usage.wire.reservations import COMMIT, RESERVE, reservation_json

writing = APIRouter(prefix="/usage/reservations", tags=["usage"], route_class=HotRoute)
reading = APIRouter(prefix="/usage/reservations", tags=["usage"])

_JSON = "application/json"
_ID = {
    "name": "reservation_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^res_[0-7][0-9a-hjkmnp-tv-z]{25}$"},
}

Holds = Annotated[Reservations, provide(Reservations)]
Reader = Annotated[Principal, needs(Permission.USAGE_READ)]
Name = Annotated[ReservationId, Path(description="`res_…`")]
Word = Annotated[str | None, Query(min_length=1, max_length=200)]


def _document(adapter: TypeAdapter[Any], **examples: object) -> dict[str, Any]:
    schema = adapter.json_schema()
    return {
        "requestBody": {
            "required": True,
            "content": {_JSON: {"schema": schema, "examples": dict(examples)}},
        }
    }


@writing.post(
    "",
    status_code=201,
    response_model=ReservationOut,
    dependencies=[needs(Permission.USAGE_WRITE)],
    openapi_extra=_document(
        RESERVE,
        call={
            "value": {
                "provider": "anthropic",
                "model": "claude-sonnet-4",
                "tokens_in": 1500,
                "max_tokens_out": 4000,
                "debate_id": "debate-42",
                "ttl_seconds": 120,
            }
        },
        debate={"value": {"metric": "debates", "estimated_cost_usd": "2.50"}},
    ),
)
async def reserve_usage(request: Request) -> Response:
    """Hold what a call is going to use: all of it, or a 402 that names what stands in the way.

    The cost is held on the budgets of the debate, workspace, user, key, organization and model,
    the quantity on the plan's limits; where nothing is limited, nothing is held. With `parent_id`
    it is taken out of that reservation. It ends with `commit`, `release`, or by itself.
    """
    return await hot.RESERVE.answer(request)


@writing.post(
    "/{reservation_id}/commit",
    status_code=200,
    response_model=CommittedOut,
    dependencies=[needs(Permission.USAGE_WRITE)],
    openapi_extra={
        **_document(
            COMMIT,
            answer={"value": {"id": "debate-42-round-1", "tokens_in": 1480, "tokens_out": 812}},
            part={"value": {"id": "part-1", "tokens_out": 200, "final": False}},
        ),
        "parameters": [_ID],
    },
)
async def commit_reservation(request: Request) -> Response:
    """Record what was really used, as `POST /usage/events` does, and settle the reservation.

    What the event does not say, the reservation did. What was not used goes back; more than was
    held is recorded too and reported as `overshoot`. With `final: false` the event draws on the
    hold and the reservation goes on, for answers that are streamed. The same event again changes
    nothing. Once its hold was given back after its expiry, which takes up to a minute, the event
    is recorded and all of it is overshoot; after a release, or a commit by another event, it is a
    409 and nothing is recorded.
    """
    return await hot.COMMIT.answer(request)


@writing.post(
    "/{reservation_id}/release",
    status_code=200,
    response_model=ReleasedOut,
    dependencies=[needs(Permission.USAGE_WRITE)],
    openapi_extra={"parameters": [_ID]},
)
async def release_reservation(request: Request) -> Response:
    """Give back what is left of it. Releasing what is over already changes nothing."""
    return await hot.RELEASE.answer(request)


@reading.get("", response_model=PageOut[ReservationOut], status_code=200)
async def list_reservations(
    holds: Holds,
    principal: Reader,
    paging: Paging,
    state: Literal["held", "committed", "released", "expired"] | None = None,
    parent_id: ReservationId | None = None,
    debate_id: Word = None,
) -> PageOut[ReservationOut]:
    """Reservations, newest first."""
    page = await holds.list_for_organization(
        principal.organization, state, parent_id, debate_id, paging
    )
    return PageOut.of(page, _out)


@reading.get("/{reservation_id}", response_model=ReservationOut, status_code=200)
async def get_reservation(holds: Holds, principal: Reader, reservation_id: Name) -> ReservationOut:
    """One reservation: what it holds, and what became of it."""
    return _out(await holds.get(principal.organization, reservation_id))


def _out(held: Held) -> ReservationOut:
    return ReservationOut.model_validate(reservation_json(held))
