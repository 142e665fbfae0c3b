"""What belongs to another organization is not found, on every path that takes an id.

The paths come from the OpenAPI document, so a new one is covered the day it appears; a path
parameter that this test cannot fill with a stranger's id fails it.
"""

import httpx

from tests.factories.estate import an_estate
from tests.factories.people import an_owner
from tests.support.openapi import body_for, operations
from tests.support.service import Service

NOT_A_TENANTS = {
    "/api/v1/billing/entitlements/{feature}",
    # Everybody names debates as they like; whose budget is found is tested with budgets.
    "/api/v1/debates/{debate_id}/budget",
}
"""Paths whose parameter names no row of a tenant."""


async def test_a_stranger_finds_nothing(service: Service) -> None:
    estate = await an_estate(service)
    stranger = await an_owner(service, plan="professional")
    document = service.app.openapi()
    walked: list[str] = []
    wrong: list[str] = []
    for operation in operations(document):
        names = operation.path_parameters
        if not names or operation.path in NOT_A_TENANTS or not operation.needs_caller:
            continue
        if operation.path.startswith("/api/v1/admin/"):
            continue
        path = operation.path
        for name in names:
            path = path.replace(f"{{{name}}}", estate.id_for(operation.path, name))
        answer = await stranger.client.request(
            operation.method, path, **body_for(document, operation)
        )
        walked.append(operation.name)
        if answer.status_code != 404:
            wrong.append(f"{operation.name}: {answer.status_code} {answer.text[:200]}")
    assert not wrong, "\n".join(wrong)
    assert len(walked) >= 15, walked


async def test_the_owner_does_find_them(service: Service) -> None:
    """The control: with the same ids the owner is not told 404 on what can be read."""
    estate = await an_estate(service)
    document = service.app.openapi()
    wrong: list[str] = []
    for operation in operations(document):
        names = operation.path_parameters
        if operation.method != "get" or not names or operation.path in NOT_A_TENANTS:
            continue
        if operation.path.startswith("/api/v1/admin/") or not operation.needs_caller:
            continue
        path = operation.path
        for name in names:
            path = path.replace(f"{{{name}}}", estate.id_for(operation.path, name))
        answer = await estate.owner.client.get(path)
        # 409 is found too: what is asked for does not fit what it is.
        if answer.status_code not in (200, 409):
            wrong.append(f"{operation.name}: {answer.status_code} {answer.text[:200]}")
    assert not wrong, "\n".join(wrong)


async def test_operators_paths_refuse_everybody_else(service: Service) -> None:
    owner = await an_owner(service, plan="enterprise")
    document = service.app.openapi()
    admin = [item for item in operations(document) if item.path.startswith("/api/v1/admin/")]
    assert admin
    wrong: list[str] = []
    for operation in admin:
        path = operation.path
        for name in operation.path_parameters:
            path = path.replace(f"{{{name}}}", "x")
        answer = await owner.client.request(operation.method, path, **body_for(document, operation))
        if answer.status_code != 403:
            wrong.append(f"{operation.name}: {answer.status_code} {answer.text[:200]}")
    assert not wrong, "\n".join(wrong)


async def test_nobody_gets_anywhere_without_credentials(
    service: Service, client: httpx.AsyncClient
) -> None:
    document = service.app.openapi()
    wrong: list[str] = []
    for operation in operations(document):
        if not operation.needs_caller:
            continue
        path = operation.path
        for name in operation.path_parameters:
            path = path.replace(f"{{{name}}}", "x")
        answer = await client.request(operation.method, path, **body_for(document, operation))
        if answer.status_code != 401:
            wrong.append(f"{operation.name}: {answer.status_code} {answer.text[:200]}")
    assert not wrong, "\n".join(wrong)
