"""Downloads of events."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.infra.http.principal import needs
from app.infra.http.provide import provide
from app.kernel.principal import Permission, Principal
from app.usage.domain import EventFilter
from app.usage.router.events import event_filter
from app.usage.service.export import Export, UsageExports
from app.usage.wire.lines import MEDIA_TYPES, Format, csv_header, csv_lines, ndjson

router = APIRouter(prefix="/usage/events", tags=["usage"])

_GZIP = 31
_LEVEL = 5


@router.get(
    "/export",
    status_code=200,
    response_class=Response,
    responses={
        200: {
            "description": "The events, oldest first.",
            "content": {media_type: {} for media_type in MEDIA_TYPES.values()},
        },
        410: {"description": "`event_archived`: it would begin in a month that was archived."},
        503: {"description": "Too many exports at once; `Retry-After` says when to ask again."},
    },
)
async def export_usage_events(
    request: Request,
    exports: Annotated[UsageExports, provide(UsageExports)],
    principal: Annotated[Principal, needs(Permission.USAGE_READ)],
    shown: Annotated[EventFilter, Depends(event_filter)],
    form: Annotated[Format, Query(alias="format")] = "ndjson",
) -> Response:
    """Events as a file, oldest first, voided ones marked; with the filters of the list.

    NDJSON has the members of the list, one event a line. CSV has the same columns; text that a
    spreadsheet would take for a formula is preceded by an apostrophe. Compressed if the client
    accepts gzip.
    """
    export = await exports.open(principal.organization, shown)
    return _Download(export, form, compressed=_accepts_gzip(request))


class _Download(StreamingResponse):
    """A file that is written while it is read; its export ends with it, however it ends."""

    def __init__(self, export: Export, form: Format, *, compressed: bool) -> None:
        lines = _lines(export, form)
        headers = {
            "Content-Disposition": f'attachment; filename="usage-events.{form}"',
            "Vary": "Accept-Encoding",
        }
        if compressed:
            lines = _zipped(lines)
            headers["Content-Encoding"] = "gzip"
        super().__init__(lines, media_type=MEDIA_TYPES[form], headers=headers)
        self._export = export

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._export.close()


async def _lines(export: Export, form: Format) -> AsyncIterator[bytes]:
    if form == "csv":
        yield csv_header()
    async for rows in export.pages():
        yield csv_lines(rows) if form == "csv" else ndjson(rows)


async def _zipped(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(_LEVEL, wbits=_GZIP)
    async for piece in lines:
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()


def _accepts_gzip(request: Request) -> bool:
    for part in request.headers.get("accept-encoding", "").lower().split(","):
        coding, _, weight = part.strip().partition(";")
        if coding.strip() in {"gzip", "*"}:
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
