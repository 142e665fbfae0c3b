"""What the lane does when an operation fails in a way that nobody foresaw."""

from collections.abc import Mapping

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response

from app.infra.http.edge import Edge
from app.infra.http.lane import HotAnswer, HotOperation, HotRequest, HotRoute, Lane
from app.infra.http.problems import install_problem_handlers
from app.infra.http.provide import Services
from app.kernel.errors import LimitReached
from app.kernel.principal import Permission
from tests.factories.people import an_owner
from tests.support.service import Service

HEADERS = {"X-Frame-Options": "deny"}


class Trouble(LimitReached):
    """Not so fast."""


async def _boom(services: Services, request: HotRequest) -> HotAnswer:
    raise RuntimeError("the secret is 1234")


async def _lost(services: Services, request: HotRequest) -> HotAnswer:
    raise ConnectionRefusedError


async def _limited(services: Services, request: HotRequest) -> HotAnswer:
    raise Trouble(retry_after_seconds=7)


FAILURES: Mapping[str, tuple[HotOperation, int]] = {
    "/boom": (HotOperation(Permission.USAGE_READ, _boom), 500),
    "/lost": (HotOperation(Permission.USAGE_READ, _lost), 503),
    "/limited": (HotOperation(Permission.USAGE_READ, _limited), 429),
}


def _declared(app: FastAPI, path: str, operation: HotOperation) -> None:
    async def endpoint(request: Request) -> Response:
        return await operation.answer(request)

    app.router.add_api_route(path, endpoint, route_class_override=HotRoute, response_model=None)


@pytest.mark.parametrize("path", FAILURES)
async def test_failures_are_answered_as_they_are_everywhere(service: Service, path: str) -> None:
    owner = await an_owner(service)
    assert (await owner.client.get("/api/v1/auth/me")).status_code == 200
    app = FastAPI()
    app.state.services = service.services
    install_problem_handlers(app)
    for each, (operation, _) in FAILURES.items():
        _declared(app, each, operation)
    app.add_middleware(Edge, headers=HEADERS)
    operations = [("GET", each, operation) for each, (operation, _) in FAILURES.items()]
    lane = Lane(app, service.services, operations, prefix="", headers=HEADERS)
    seen: list[tuple[int, dict[str, str], bytes]] = []
    for way in (lane, app):
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(way), base_url="http://testserver"
        ) as client:
            answer = await client.get(
                path, headers={"Authorization": f"Bearer {owner.token}", "X-Request-ID": "same"}
            )
        seen.append((answer.status_code, dict(answer.headers), answer.content))
    assert seen[0] == seen[1]
    assert seen[0][0] == FAILURES[path][1]
    assert b"1234" not in seen[0][2]
