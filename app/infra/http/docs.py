"""`/docs` and `/redoc` without a request to any other host, each under its own content policy."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import fastapi_standalone_docs
from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

_STATIC = Path(fastapi_standalone_docs.__path__[0]) / "static"
_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def install_docs(app: FastAPI) -> None:
    """Serve both pages from the files of the `fastapi-standalone-docs` package."""
    app.mount("/docs/static", StaticFiles(directory=_STATIC / "swagger"))
    app.mount("/docs/icon", StaticFiles(directory=_STATIC / "fastapi"))
    icon = "/docs/icon/favicon.png"
    swagger = _with_policy(
        get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=f"{app.title} · API",
            swagger_js_url="/docs/static/swagger-ui-bundle.js",
            swagger_css_url="/docs/static/swagger-ui.css",
            swagger_favicon_url=icon,
        )
    )
    redoc = _with_policy(
        get_redoc_html(
            openapi_url="/openapi.json",
            title=f"{app.title} · reference",
            redoc_js_url="/redoc/redoc.standalone.js",
            redoc_favicon_url=icon,
            with_google_fonts=False,
        )
    )

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return swagger

    @app.get("/redoc", include_in_schema=False)
    async def reference() -> HTMLResponse:
        return redoc

    # ReDoc looks for its logo beside the page.
    app.mount("/redoc", StaticFiles(directory=_STATIC / "redoc"))


def _with_policy(page: HTMLResponse) -> HTMLResponse:
    # The pages start themselves with an inline script; its hash allows that one and no other.
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
        for script in _INLINE_SCRIPT.findall(bytes(page.body))
    )
    page.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; "
        "worker-src blob:; frame-ancestors 'none'; base-uri 'none'"
    )
    return page
