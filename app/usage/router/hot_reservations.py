"""Reserving and releasing: bytes in, one validation, one wait for the commit, bytes out."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import from_json, to_json

from app.infra.http.idempotency import IdempotencyKeyMalformed
from app.infra.http.lane import HotAnswer, HotOperation, HotRequest
from app.infra.http.provide import Services
from app.kernel.ids import MalformedId, decode_id
from app.kernel.principal import Permission
from app.usage.errors import ReservationNotFound
from app.usage.service.reservations import Reservations
from app.usage.service.settling import Settling
from app.usage.wire.answers import recorded_json
from app.usage.wire.reservations import (
    amounts_json,
    caller_of,
    read_commit,
    read_reservation,
    reservation_json,
)

_MAX_KEY = 255
_HEADER = b"idempotency-key"
_REPLAYED = [(b"idempotent-replayed", b"true")]


async def _reserve(services: Services, request: HotRequest) -> HotAnswer:
    """Hold what a call is going to use, or refuse."""
    principal = request.principal
    organization_id = principal.organization
    key = key_of(request.headers)
    try:
        asked = read_reservation(request.body, principal.actor, key)
    except ValidationError as error:
        raise faults(error) from None
    grant = await services[Reservations].reserve(organization_id, asked, caller_of(principal))
    services[Settling].remember(grant.held)
    shown = reservation_json(grant.held, "granted")
    if not grant.is_repeat:
        return 201, to_json(shown)
    # A repeat has the first answer, whatever has become of the reservation since.
    shown.update(state="held", settled_at=None, events=0)
    for amount in shown["amounts"]:
        amount.update(remaining=amount["granted"], returned="0", committed="0", overshoot="0")
    return 201, to_json(shown), _REPLAYED


async def _commit(services: Services, request: HotRequest) -> HotAnswer:
    """Record an event and settle its reservation."""
    principal = request.principal
    organization_id = principal.organization
    settling = services[Settling]
    named = reservation_id(request.name)
    plan = await settling.plan(organization_id, named)
    try:
        event, is_final = read_commit(
            request.body, key_of(request.headers), plan.metric, plan.labels
        )
    except ValidationError as error:
        raise faults(error) from None
    settled = await settling.commit(
        organization_id,
        named,
        event,
        is_final=is_final,
        backfill=principal.is_operator,
        api_key_id=principal.api_key_id,
    )
    shown = reservation_json(settled.held)
    shown["event"] = from_json(recorded_json(event.key, settled.recorded))
    shown["returned"] = amounts_json(settled.held, "returned")
    shown["overshoot"] = amounts_json(settled.held, "overshoot")
    return 200, to_json(shown)


async def _release(services: Services, request: HotRequest) -> HotAnswer:
    """Give back what is left of a reservation."""
    organization_id = request.principal.organization
    held = await services[Reservations].release(organization_id, reservation_id(request.name))
    shown = reservation_json(held)
    shown["returned"] = amounts_json(held, "returned")
    return 200, to_json(shown)


RESERVE = HotOperation(Permission.USAGE_WRITE, _reserve, is_light=True)
COMMIT = HotOperation(Permission.USAGE_WRITE, _commit, is_light=True)
RELEASE = HotOperation(Permission.USAGE_WRITE, _release, is_light=True)


def reservation_id(name: str) -> UUID:
    """Raises `ReservationNotFound`, because nothing has such a name."""
    try:
        return decode_id("res", name)
    except MalformedId:
        raise ReservationNotFound from None


def key_of(headers: Mapping[bytes, bytes]) -> str | None:
    """The Idempotency-Key. Raises `IdempotencyKeyMalformed`."""
    raw = headers.get(_HEADER)
    if raw is None:
        return None
    key = raw.decode("latin-1")
    if not (1 <= len(key) <= _MAX_KEY and key.isascii() and key.isprintable()):
        raise IdempotencyKeyMalformed
    return key


def faults(error: ValidationError) -> RequestValidationError:
    """What is wrong with a body, as the framework says it."""
    return RequestValidationError(
        [
            {"loc": ("body", *fault["loc"]), "msg": fault["msg"], "type": fault["type"]}
            for fault in error.errors(include_url=False, include_input=False, include_context=False)
        ]
    )
