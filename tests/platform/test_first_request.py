"""What a process does before it takes requests."""

from __future__ import annotations

from typing import Any

import fastapi.routing
import httpx
import pytest
from sqlalchemy import URL

from app.main import create_app
from tests.support.service import settings_for


@pytest.mark.parametrize("has_started", [True, False])
async def test_the_first_request_finds_every_route_resolved(
    database_url: URL, monkeypatch: pytest.MonkeyPatch, has_started: bool
) -> None:
    """Without the start the first request resolves them: the control."""
    app = create_app(settings_for(database_url))
    resolved: list[Any] = []
    resolve = vars(fastapi.routing)["get_dependant"]
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver")
    async with app.router.lifespan_context(app), client:
        if not has_started:
            app.router.routes[:] = create_app(settings_for(database_url)).router.routes

        def noted(**asked: Any) -> Any:
            resolved.append(asked)
            return resolve(**asked)

        monkeypatch.setattr(fastapi.routing, "get_dependant", noted)
        assert (await client.get("/api/v1/admin/doctor")).status_code == 401
    assert bool(resolved) is not has_started
