"""The operations that carry the traffic: bytes in, one validation, one wait, bytes out.

They honour what all others honour; `app/infra/http/lane.py` says how.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import QueryParams

from app.infra.http.idempotency import HEADER
from app.infra.http.lane import HotAnswer, HotOperation, HotRequest
from app.infra.http.provide import Services
from app.kernel.principal import Permission
from app.usage.errors import EventIdMissing
from app.usage.service.ingest import UsageIngest
from app.usage.service.submission import Spender
from app.usage.service.usage import UsageService
from app.usage.wire.answers import batch_json, quotas_json, recorded_json
from app.usage.wire.cloudevents import is_cloud_event
from app.usage.wire.events import read_batch, read_cloud_event, read_cloud_events, read_event

_JSON = b"application/json"
_KEY_HEADER = HEADER.encode()
_MAX_KEY = 255
_YES = frozenset({"true", "1", "on", "yes", "t", "y"})
_NO = frozenset({"false", "0", "off", "no", "f", "n"})


async def _record_event(services: Services, request: HotRequest) -> HotAnswer:
    """Take one event; answer after its commit."""
    principal = request.principal
    organization_id = principal.organization
    enforce = _enforce(request.query)
    try:
        if _is_cloud_event(request):
            event = read_cloud_event(request.body)
        else:
            event = read_event(request.body, _key(request))
    except ValidationError as error:
        raise RequestValidationError(_faults(error)) from None
    answer = await services[UsageIngest].record_one(
        organization_id,
        event,
        enforce=enforce,
        backfill=principal.is_operator,
        api_key_id=principal.api_key_id,
        spender=Spender.of(principal) if enforce else None,
    )
    return 200 if answer.is_repeat else 201, recorded_json(event.key, answer)


async def _record_batch(services: Services, request: HotRequest) -> HotAnswer:
    """Take up to 1,000 events; answer each after the commit."""
    principal = request.principal
    organization_id = principal.organization
    enforce = _enforce(request.query)
    try:
        if _is_cloud_event(request):
            names, events = read_cloud_events(request.body)
        else:
            names, events = read_batch(request.body)
    except ValidationError as error:
        raise RequestValidationError(_faults(error)) from None
    answers = await services[UsageIngest].record(
        organization_id,
        events,
        enforce=enforce,
        backfill=principal.is_operator,
        api_key_id=principal.api_key_id,
        spender=Spender.of(principal) if enforce else None,
    )
    return 200, batch_json(names, answers)


async def _quotas(services: Services, request: HotRequest) -> HotAnswer:
    """Where the caller's organization stands with every metric."""
    found = await services[UsageService].quotas(request.principal.organization)
    return 200, quotas_json(found)


RECORD_EVENT = HotOperation(Permission.USAGE_WRITE, _record_event, is_light=True)
RECORD_BATCH = HotOperation(Permission.USAGE_WRITE, _record_batch, is_light=True)
QUOTAS = HotOperation(Permission.USAGE_READ, _quotas, is_light=True)


@lru_cache(maxsize=64)
def _enforce(query: bytes) -> bool:
    if not query:
        return False
    value = QueryParams(query).get("enforce", "false").lower()
    if value in _YES:
        return True
    if value in _NO:
        return False
    raise RequestValidationError(
        [{"loc": ("query", "enforce"), "msg": "Input should be a boolean", "type": "bool_parsing"}]
    )


def _is_cloud_event(request: HotRequest) -> bool:
    kind = request.headers.get(b"content-type", _JSON)
    return kind != _JSON and is_cloud_event(kind.decode("latin-1"))


def _key(request: HotRequest) -> str | None:
    given = request.headers.get(_KEY_HEADER)
    if given is None:
        return None
    key = given.decode("latin-1")
    if not (1 <= len(key) <= _MAX_KEY and key.isascii() and key.isprintable()):
        raise EventIdMissing
    return key


def _faults(error: ValidationError) -> list[dict[str, Any]]:
    return [
        {"loc": ("body", *fault["loc"]), "msg": fault["msg"], "type": fault["type"]}
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]
