"""Pages as plain HTML: templates, small helpers, and the answers they are sent in."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from app.sandbox.billing import amounts
from app.sandbox.core import forms
from app.sandbox.core.params import Doc
from app.sandbox.core.sandbox import Sandbox

_LARGEST_FORM = 20_000


def _day(instant: int) -> str:
    return f"{datetime.fromtimestamp(instant, UTC):%-d %B %Y}"


def _every(price: Doc) -> str:
    recurring = price["recurring"]
    count = recurring["interval_count"]
    return str(recurring["interval"] if count == 1 else f"{count} {recurring['interval']}s")


def _time(instant: int) -> str:
    return f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%d %H:%M:%S}"


_ID = re.compile(
    r"\b(?:ch|clock|cs_test|cus|dp|evt|ii|in|inpay|mtr|pi|pm|price|prod|promo|re|seti|sub|sub_sched|we)"
    r"_(?!details\b|[A-Za-z0-9]+_secret_)[A-Za-z0-9_]{2,}\b(?!&#34;:)"
)
"""What looks like the id of an object, and is no secret and no name of a field."""


def _linked(value: Any) -> Markup:
    """Text in which every id leads to its object."""
    text = str(escape("" if value is None else value))
    return Markup(_ID.sub(_link, text))  # noqa: S704 - escaped above; ids are letters and digits


def _link(found: re.Match[str]) -> str:
    id = found.group()
    shelf = {"cus": "customers", "evt": "events"}.get(id.partition("_")[0], "objects")
    return f'<a href="/console/{shelf}/{id}">{id}</a>'


_pages = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_pages.filters.update(day=_day, every=_every, linked=_linked, time=_time)
_pages.globals["money"] = amounts.shown

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    return HTMLResponse(_pages.get_template(template).render(**values), status, _HEADERS)


def not_found(what: str) -> HTMLResponse:
    return page("message.html", 404, title="Not found", text=f"There is no such {what}.", link=None)


def go(url: str) -> RedirectResponse:
    """Send the browser on with a GET, so that a reload repeats nothing."""
    return RedirectResponse(url, 303, {"Cache-Control": "no-store"})


async def form(request: Request) -> dict[str, str]:
    """The fields of a posted form."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_FORM:
            return {}
    return {key: value for key, value in forms.decode(body).items() if isinstance(value, str)}


class Page:
    """A page of the account: what is due is done before it is shown."""

    def __init__(
        self, sandbox: Sandbox, before: Callable[[], object], after: Callable[[], object]
    ) -> None:
        self._sandbox = sandbox
        self._before = before
        self._after = after
