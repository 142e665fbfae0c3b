"""What every request gets, whatever it asks for."""

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from app.infra.http.edge import MAX_BODY_BYTES, has_nul
from tests.factories.people import an_email, an_owner
from tests.support.service import Service


async def test_health_says_it_is_ready(client: httpx.AsyncClient) -> None:
    for path in ("/health/live", "/health/ready", "/health"):
        answer = await client.get(path)
        assert answer.status_code == 200, answer.text


async def test_every_answer_has_a_request_id_and_security_headers(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/nowhere", headers={"X-Request-ID": "my-id.1"})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "not_found"
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "my-id.1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"].lower() == "deny"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


async def test_a_hostile_request_id_is_replaced(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health/live", headers={"X-Request-ID": "a b\tc" * 50})
    assert answer.headers["x-request-id"].isalnum()


class Body(BaseModel):
    password: str
    number: int


@pytest.fixture
async def probed(service: Service) -> FastAPI:
    """The service with routes that misbehave on purpose."""
    app = service.app
    if not any(getattr(route, "path", "") == "/probe" for route in app.routes):

        @app.post("/probe", include_in_schema=False)
        async def probe(body: Body) -> Body:
            return body

        @app.get("/probe/boom", include_in_schema=False)
        async def boom() -> None:
            raise RuntimeError("the secret is 1234")

        @app.get("/probe/database", include_in_schema=False)
        async def database() -> None:
            raise ConnectionRefusedError

    return app


async def test_an_unexpected_error_tells_nothing(
    probed: FastAPI, client: httpx.AsyncClient
) -> None:
    answer = await client.get("/probe/boom")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert "1234" not in answer.text


async def test_a_lost_database_is_503_with_retry_after(
    probed: FastAPI, client: httpx.AsyncClient
) -> None:
    answer = await client.get("/probe/database")
    assert answer.status_code == 503
    assert answer.json()["code"] == "database_unavailable"
    assert int(answer.headers["retry-after"]) > 0


async def test_a_422_says_where_but_never_echoes_the_input(
    probed: FastAPI, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/probe", json={"password": "hunter2", "number": "hunter2"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", "number"]
    assert "hunter2" not in answer.text


async def test_a_body_over_the_limit_is_413(probed: FastAPI, client: httpx.AsyncClient) -> None:
    for content in (b"x" * (MAX_BODY_BYTES + 1), _chunks()):
        answer = await client.post(
            "/probe", content=content, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 413
        assert answer.json()["code"] == "body_too_large"


async def _chunks():
    for _ in range(MAX_BODY_BYTES // 65536 + 1):
        yield b"x" * 65536


async def test_nul_is_refused_wherever_it_hides(probed: FastAPI, client: httpx.AsyncClient) -> None:
    answers = [
        await client.get("/probe/%00"),
        await client.get("/health/live?x=%00"),
        await client.post("/probe", json={"password": "a\x00b", "number": 1}),
    ]
    assert [answer.status_code for answer in answers] == [422, 422, 422]


def test_a_backslash_before_u0000_is_text() -> None:
    assert has_nul(rb'{"a": "\u0000"}')
    assert has_nul(rb'{"a": "\\\u0000"}')
    assert not has_nul(rb'{"a": "\\u0000"}')


async def test_deep_json_is_refused(probed: FastAPI, client: httpx.AsyncClient) -> None:
    deep = b'{"number": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    answer = await client.post("/probe", content=deep, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_documentation_names_no_other_host(client: httpx.AsyncClient, page: str) -> None:
    answer = await client.get(page)
    assert answer.status_code == 200
    assert "https://" not in answer.text
    assert "http://" not in answer.text


async def test_metrics_are_served(client: httpx.AsyncClient) -> None:
    await client.get("/health/live")
    answer = await client.get("/metrics")
    assert "http_request_seconds_bucket" in answer.text


async def test_a_422_speaks_of_values_and_not_of_python(
    service: Service, client: httpx.AsyncClient
) -> None:
    answer = await client.post(
        "/api/v1/auth/register", json={"email": "nobody", "password": "x", "name": "x"}
    )
    assert answer.status_code == 422
    assert not any(fault["msg"].startswith("Value error") for fault in answer.json()["errors"])
    owner = await an_owner(service)
    answer = await owner.client.post(
        f"/api/v1/organizations/{owner.id}/invites", json={"email": an_email(), "role": "king"}
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["msg"] == (
        "Input should be 'admin', 'billing', 'member' or 'viewer'"
    )
