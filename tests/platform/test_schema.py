"""schemathesis reads the OpenAPI document and tries what nobody thought of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import CheckContext, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import URL

from app.main import create_app
from tests.support.long import EVERYTHING
from tests.support.openapi import operations
from tests.support.process import Process
from tests.support.service import settings_for

# One worker runs them all, so that what they share is started once.
pytestmark = pytest.mark.xdist_group("schema")

EXAMPLES = 12 if EVERYTHING else 3


def no_server_error(context: CheckContext, response: Any, case: Any) -> bool | None:
    """No 5xx but the one that is promised where no Stripe key is set, as here."""
    if response.status_code == 503 and response.json()["code"] == "stripe_not_configured":
        return None
    return not_a_server_error(context, response, case)


CHECKS = [
    no_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# The session dies under these calls; another token keeps the rest signed in.
OWN_SESSION = ("/auth/logout", "/auth/revoke", "/auth/session", "/auth/switch", "/auth/password")


@dataclass(frozen=True)
class Served:
    """A running service and a signed-in owner."""

    url: str
    schema: Any
    token: str


def names() -> list[str]:
    url = URL.create("postgresql+asyncpg", host="nowhere", database="none")
    document = create_app(settings_for(url)).openapi()
    return [operation.name for operation in operations(document)]


@pytest.fixture(scope="module")
def served(database_url: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data_dir: Path = tmp_path_factory.mktemp("schema")
    with Process(database_url, data_dir, STRIPE_WEBHOOK_SECRET="whsec_schema") as process:
        schema = schemathesis.openapi.from_url(f"{process.url}/openapi.json")
        yield Served(process.url, schema, register(process.url))


def register(url: str) -> str:
    from app.kernel.ids import new_id

    answer = httpx.post(
        f"{url}/api/v1/auth/register",
        json={
            "email": f"schema-{new_id().hex}@example.com",
            "password": "a long enough passphrase",
            "name": "Schema",
            "organization_name": "Schema",
        },
        timeout=30,
    )
    answer.raise_for_status()
    return str(answer.json()["access_token"])


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", names())
def test_no_surprise(served: Served, name: str) -> None:
    method, path = name.split(" ", 1)
    operation = served.schema[path][method]
    token = register(served.url) if any(part in path for part in OWN_SESSION) else served.token

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def attempt(case: Any) -> None:
        response = case.call(headers={"Authorization": f"Bearer {token}"}, timeout=30)
        case.validate_response(response, checks=CHECKS)

    attempt()
