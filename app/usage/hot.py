"""The two routes that carry the traffic, without FastAPI's dependency machinery.

They honour what all others honour: authentication, permission, problem documents, the edge's
limits. Only the way there is shorter: bytes in, one validation, one wait for the commit, bytes out.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json
from starlette.responses import Response

from app.infra.http.idempotency import HEADER
from app.infra.http.principal import current_principal
from app.infra.http.problems import validation_problem
from app.kernel.errors import BillingError
from app.kernel.ids import encode_id
from app.kernel.principal import Permission
from app.kernel.rates import plain
from app.usage import cloudevents
from app.usage.cloudevents import is_cloud_event
from app.usage.domain import Quota
from app.usage.errors import EventIdMissing
from app.usage.schemas import rfc3339, whole_or_text
from app.usage.service.flush import Recorded
from app.usage.service.ingest import UsageIngest
from app.usage.wire import (
    MAX_BATCH,
    read_batch,
    read_cloud_event,
    read_cloud_events,
    read_event,
)

_JSON = "application/json"
_MAX_KEY = 255
_YES = frozenset({"true", "1", "on", "yes", "t", "y"})
_NO = frozenset({"false", "0", "off", "no", "f", "n"})


_CLOUD_EVENT = {
    "type": "object",
    "description": "A CloudEvent 1.0 in structured mode.",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1, "maxLength": 255},
        "source": {"type": "string", "minLength": 1},
        "type": {"type": "string", "minLength": 1},
        "time": {"type": "string", "format": "date-time"},
        "subject": {"type": "string", "description": "The user's id."},
        "data": {"type": "object", "description": "The other fields of a usage event."},
    },
}
_CLOUD_EVENTS = {
    cloudevents.SINGLE: _CLOUD_EVENT,
    cloudevents.BATCH: {
        "type": "array",
        "items": _CLOUD_EVENT,
        "minItems": 1,
        "maxItems": MAX_BATCH,
    },
}


class HotRoute(APIRoute):
    """A route whose endpoint takes the request itself; declared dependencies are documentation."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint


def document(adapter: TypeAdapter[Any], cloud_events: str, **examples: object) -> dict[str, Any]:
    """The `openapi_extra` of a hot route: its body, and the parameters it reads itself."""
    schema = adapter.json_schema(ref_template="#/components/schemas/{model}")
    definitions = schema.pop("$defs", {})
    if definitions:
        schema = _inlined(schema, definitions)
    return {
        "requestBody": {
            "required": True,
            "content": {
                _JSON: {"schema": schema, "examples": dict(examples)},
                cloud_events: {"schema": _CLOUD_EVENTS[cloud_events]},
            },
        },
        "parameters": [
            {
                "name": "enforce",
                "in": "query",
                "required": False,
                "schema": {"type": "boolean", "default": False},
                "description": "Refuse with 402 what does not fit under a hard limit.",
            },
        ],
    }


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, dict):
        target = schema.get("$ref")
        if isinstance(target, str):
            return _inlined(definitions[target.rsplit("/", 1)[-1]], definitions)
        return {name: _inlined(value, definitions) for name, value in schema.items()}
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    return schema


async def record_event(request: Request) -> Response:
    """Take one event; answer after its commit."""
    principal = await current_principal(request)
    principal.require(Permission.USAGE_WRITE)
    organization_id = principal.organization
    try:
        enforce = _enforce(request)
        body = await request.body()
        if is_cloud_event(request.headers.get("content-type", "")):
            event = read_cloud_event(body)
        else:
            event = read_event(body, _key(request))
    except ValidationError as error:
        return validation_problem(_faults(error))
    except _NotABoolean as fault:
        return validation_problem([fault.found])
    ingest: UsageIngest = request.app.state.services[UsageIngest]
    (answer,) = await ingest.record(
        organization_id, [event], enforce=enforce, backfill=principal.is_operator
    )
    if isinstance(answer, BillingError):
        raise answer
    answered = {
        "id": event.key,
        "event_id": encode_id("evt", answer.event_id),
        "status": "duplicate" if answer.is_repeat else "recorded",
        "cost_usd": None if answer.cost_usd is None else plain(answer.cost_usd),
        "priced": answer.cost_usd is not None,
        "quota": _quota(answer.quota),
    }
    return Response(to_json(answered), 200 if answer.is_repeat else 201, media_type=_JSON)


async def record_batch(request: Request) -> Response:
    """Take up to 1,000 events; answer each after the commit."""
    principal = await current_principal(request)
    principal.require(Permission.USAGE_WRITE)
    organization_id = principal.organization
    try:
        enforce = _enforce(request)
        content = await request.body()
        if is_cloud_event(request.headers.get("content-type", "")):
            ids, events = read_cloud_events(content)
        else:
            ids, events = read_batch(content)
    except ValidationError as error:
        return validation_problem(_faults(error))
    except _NotABoolean as fault:
        return validation_problem([fault.found])
    ingest: UsageIngest = request.app.state.services[UsageIngest]
    answers = await ingest.record(
        organization_id, events, enforce=enforce, backfill=principal.is_operator
    )
    results: list[dict[str, object]] = []
    recorded = duplicates = 0
    for name, answer in zip(ids, answers, strict=True):
        if isinstance(answer, Recorded):
            recorded += not answer.is_repeat
            duplicates += answer.is_repeat
            status = "duplicate" if answer.is_repeat else "recorded"
            results.append({"id": name, "status": status})
        else:
            why = {"code": answer.code, "detail": answer.message}
            results.append({"id": name, "status": "error", "error": why})
    body = {
        "recorded": recorded,
        "duplicates": duplicates,
        "errors": len(results) - recorded - duplicates,
        "results": results,
    }
    return Response(to_json(body), 200, media_type=_JSON)


class _NotABoolean(Exception):
    """`enforce` is neither true nor false."""

    found = {
        "loc": ("query", "enforce"),
        "msg": "Input should be a boolean",
        "type": "bool_parsing",
    }


def _enforce(request: Request) -> bool:
    if not request.scope["query_string"]:
        return False
    value = request.query_params.get("enforce", "false").lower()
    if value in _YES:
        return True
    if value in _NO:
        return False
    raise _NotABoolean


def _key(request: Request) -> str | None:
    key = request.headers.get(HEADER)
    if key is not None and not (1 <= len(key) <= _MAX_KEY and key.isascii() and key.isprintable()):
        raise EventIdMissing
    return key


def _faults(error: ValidationError) -> list[dict[str, Any]]:
    return [
        {"loc": ("body", *fault["loc"]), "msg": fault["msg"], "type": fault["type"]}
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def _quota(quota: Quota) -> dict[str, object]:
    return {
        "metric": quota.metric,
        "limit": whole_or_text(quota.limit),
        "used": whole_or_text(quota.used),
        "held": whole_or_text(quota.held),
        "remaining": whole_or_text(quota.remaining),
        "resets_at": rfc3339(quota.window.end),
        "policy": quota.policy.value,
    }
