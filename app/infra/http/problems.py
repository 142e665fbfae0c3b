"""Every refusal as `application/problem+json` (RFC 9457), with a stable code and no leak.

This is the only place that knows which kind of error is which status. A 422 lists where and why,
never the input; anything that is not ours is a 500 without detail.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import asyncpg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.infra.telemetry.context import request_id
from app.kernel import errors

MEDIA_TYPE = "application/problem+json"

STATUS_OF_KIND: tuple[tuple[type[errors.BillingError], int], ...] = (
    (errors.NotFound, 404),
    (errors.Gone, 410),
    (errors.Conflict, 409),
    (errors.Malformed, 422),
    (errors.Unreadable, 400),
    (errors.NotAuthenticated, 401),
    (errors.NotAllowed, 403),
    (errors.Refused, 422),
    (errors.PaymentRequired, 402),
    (errors.LimitReached, 429),
    (errors.Unavailable, 503),
)

CODE_OF_STATUS = {
    400: "malformed",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
}

DATABASE_RETRY_SECONDS = 2

_ENUM_MEMBER = re.compile(r"<\w+\.\w+: ('[^']*')>")


class DatabaseUnavailable(errors.Unavailable):
    """The database cannot be reached just now; nothing was changed. Try again shortly."""

    code = "database_unavailable"


def status_of(error: errors.BillingError) -> int:
    for kind, status in STATUS_OF_KIND:
        if isinstance(error, kind):
            return status
    return 500


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    extra: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """One problem document. *extra* members never replace the standard ones."""
    body: dict[str, object] = {
        **(extra or {}),
        "type": f"/problems/{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id.get(),
    }
    return Response(json.dumps(body, default=str), status, headers=headers, media_type=MEDIA_TYPE)


def problem_of(error: errors.BillingError) -> Response:
    headers: dict[str, str] = {}
    if isinstance(error, errors.LimitReached | errors.Unavailable):
        headers["Retry-After"] = str(error.retry_after_seconds)
    if isinstance(error, errors.NotAuthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, errors.Conflict) and "retry_after_seconds" in error.context:
        headers["Retry-After"] = str(error.context["retry_after_seconds"])
    return problem(status_of(error), error.code, error.message, extra=error.extra, headers=headers)


def validation_problem(found: Sequence[Mapping[str, Any]]) -> Response:
    shown = [
        {
            "loc": [part if isinstance(part, int) else str(part)[:100] for part in item["loc"]],
            "msg": _for_people(str(item["msg"]))[:300],
            "type": item["type"],
        }
        for item in found
    ]
    return problem(
        422, "validation_failed", "The request does not fit the schema.", extra={"errors": shown}
    )


def _for_people(message: str) -> str:
    """Pydantic's message without its prefix and without the way Python writes an enum."""
    return _ENUM_MEMBER.sub(r"\1", message.removeprefix("Value error, "))


def internal_problem() -> Response:
    return problem(500, "internal_error", "An unexpected error occurred.")


_CONNECTING = "asyncpg.connect_utils"


def is_database_loss(error: BaseException) -> bool:
    """Whether *error* means that Postgres is away, rather than that a statement was wrong."""
    # A server that stands still is no error of the driver: connecting merely takes too long.
    if isinstance(error, PoolTimeout | ConnectionError | TimeoutError):
        return True
    if isinstance(error, asyncpg.CannotConnectNowError):
        return True
    if isinstance(error, FileNotFoundError):
        return _was_connecting(error)
    if isinstance(error, asyncpg.PostgresConnectionError | asyncpg.InterfaceError):
        return True
    if isinstance(error, asyncpg.TooManyConnectionsError | asyncpg.AdminShutdownError):
        return True
    if isinstance(error, asyncpg.InternalClientError):
        return True
    if isinstance(error, DBAPIError):
        cause = error.orig.__cause__ if error.orig is not None else None
        return (
            error.connection_invalidated
            or isinstance(error, InterfaceError)
            or (isinstance(error, OperationalError) and cause is None)
            or (cause is not None and is_database_loss(cause))
        )
    return False


def _was_connecting(error: FileNotFoundError) -> bool:
    """Whether the file that is missing is the socket of a Postgres on its way down or up."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_globals.get("__name__") == _CONNECTING for frame, _ in frames)


def install_problem_handlers(app: FastAPI) -> None:
    """Answer our errors, validation errors and the framework's own in the one shape."""

    async def ours(request: Request, error: Exception) -> Response:
        if not isinstance(error, errors.BillingError):
            raise error
        return problem_of(error)

    async def validation(request: Request, error: Exception) -> Response:
        if not isinstance(error, RequestValidationError):
            raise error
        return validation_problem(error.errors())

    async def framework(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        code = CODE_OF_STATUS.get(error.status_code, "error")
        return problem(
            error.status_code, code, HTTPStatus(error.status_code).phrase, headers=error.headers
        )

    app.add_exception_handler(errors.BillingError, ours)
    app.add_exception_handler(RequestValidationError, validation)
    app.add_exception_handler(HTTPException, framework)
