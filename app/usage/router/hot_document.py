"""What the OpenAPI document says of the hot routes, which read their requests themselves."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from app.usage.wire import cloudevents
from app.usage.wire.events import MAX_BATCH

_JSON = "application/json"

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
