"""The OpenAPI document: security where a caller is needed, and every refusal each call may give."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from app.infra.http.idempotency import IdempotentRoute
from app.infra.http.principal import CSRF_HEADER, SESSION_COOKIE, current_principal
from app.infra.http.problems import MEDIA_TYPE

_PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457 problem document; `code` is stable, `detail` is for people.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "examples": ["/problems/not_found"]},
        "title": {"type": "string", "examples": ["Not Found"]},
        "status": {"type": "integer", "examples": [404]},
        "detail": {"type": "string"},
        "code": {"type": "string", "examples": ["not_found"]},
        "request_id": {"type": ["string", "null"]},
        "errors": {
            "type": "array",
            "description": "On 422: where the request does not fit, and why.",
            "items": {
                "type": "object",
                "properties": {
                    "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
                    "msg": {"type": "string"},
                    "type": {"type": "string"},
                },
            },
        },
    },
}

_SCHEMES: dict[str, Any] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token, or an API key that starts with `ara_`.",
    },
    "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": SESSION_COOKIE,
        "description": f"A browser session; unsafe methods also send `{CSRF_HEADER}`.",
    },
}

_IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "The same key and body give the first answer again.",
}

_FORBIDDEN = (
    "Forbidden: `missing_permission`, or `organization_suspended` where a suspended organization's "
    "people may only look and pay."
)
_ALWAYS = (400, 413, 422, 429, 500, 503)
_AUTHENTICATED = (401, 403, 404)
_UNSAFE = (402, 409)


def install_openapi(app: FastAPI) -> None:
    """Replace the application's document builder; the result is built once."""

    def build() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
                servers=[{"url": "/"}],
            )
            _complete(document, app)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = build  # type: ignore[method-assign]


def _complete(document: dict[str, Any], app: FastAPI) -> None:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schemas["Problem"] = _PROBLEM
    components["securitySchemes"] = _SCHEMES
    # Included routers keep their routes to themselves; the contexts know the full paths.
    for route in iter_route_contexts(app.routes):
        if not isinstance(route.original_route, APIRoute):
            continue
        operations = document["paths"].get(route.path_format, {})
        for method in route.methods or ():
            operation = operations.get(method.lower())
            if operation is not None:
                _complete_operation(operation, route, method)


def _complete_operation(operation: dict[str, Any], route: RouteContext, method: str) -> None:
    statuses = list(_ALWAYS)
    if _asks_who_calls(route.dependant):
        operation["security"] = [{name: []} for name in _SCHEMES]
        statuses += _AUTHENTICATED
    elif "{" in (route.path_format or ""):
        statuses.append(404)
    if method not in {"GET", "HEAD"}:
        statuses += _UNSAFE
        statuses += [] if 401 in statuses else [401, 403, 404]
    if method == "POST" and isinstance(route.original_route, IdempotentRoute):
        # A route that reads the header itself has listed it in its own way.
        others = [one for one in operation.get("parameters", ()) if not _is_the_key(one)]
        operation["parameters"] = [*others, dict(_IDEMPOTENCY_KEY)]
    responses = operation.setdefault("responses", {})
    responses.pop("422", None)
    for status in sorted(set(statuses)):
        known = responses.setdefault(str(status), {"description": HTTPStatus(status).phrase})
        if status == HTTPStatus.FORBIDDEN:
            known["description"] = _FORBIDDEN
        known.setdefault("content", {})[MEDIA_TYPE] = {
            "schema": {"$ref": "#/components/schemas/Problem"}
        }


def _is_the_key(parameter: dict[str, Any]) -> bool:
    return bool(
        parameter["in"] == "header"
        and parameter["name"].lower() == _IDEMPOTENCY_KEY["name"].lower()
    )


def _asks_who_calls(dependant: Dependant) -> bool:
    return dependant.call is current_principal or any(
        _asks_who_calls(inner) for inner in dependant.dependencies
    )
