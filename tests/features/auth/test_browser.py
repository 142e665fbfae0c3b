"""Browser sessions."""

import httpx
import pytest

from tests.factories.people import Owner, an_owner
from tests.support.service import Service, running

SESSION = "/api/v1/auth/session"
ME = "/api/v1/auth/me"


async def sign_in(client: httpx.AsyncClient, owner: Owner) -> tuple[dict[str, str], str, str]:
    """The body, the cookie's value, and the cookie's whole line."""
    answer = await client.post(SESSION, json={"email": owner.email, "password": owner.password})
    assert answer.status_code == 200, answer.text
    line = answer.headers["set-cookie"]
    name, _, rest = line.partition("=")
    assert name == "session_token"
    return answer.json(), rest.partition(";")[0], line


async def test_a_cookie_reads_but_writes_only_with_its_csrf_token(
    service: Service, client: httpx.AsyncClient
) -> None:
    owner = await an_owner(service)
    body, cookie, line = await sign_in(client, owner)
    for attribute in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
        assert attribute.lower() in line.lower()
    assert cookie not in str(body)

    async with service.client(Cookie=f"session_token={cookie}") as browser:
        me = await browser.get(ME)
        assert me.status_code == 200
        assert me.json()["token_type"] == "session"
        for headers in ({}, {"X-CSRF-Token": "wrong"}, {"X-CSRF-Token": "wröng"}):
            raw = {name.encode(): value.encode() for name, value in headers.items()}
            refused = await browser.patch(ME, json={"name": "Eve"}, headers=raw)
            assert refused.status_code == 403
            assert refused.json()["code"] == "csrf_failed"
        csrf = {"X-CSRF-Token": body["csrf_token"]}
        assert (await browser.patch(ME, json={"name": "Ada K."}, headers=csrf)).status_code == 200
        assert (await browser.get(SESSION)).json()["csrf_token"] == body["csrf_token"]


async def test_one_sessions_csrf_token_does_not_fit_another(
    service: Service, client: httpx.AsyncClient
) -> None:
    owner = await an_owner(service)
    _, cookie, _ = await sign_in(client, owner)
    other, _, _ = await sign_in(client, owner)
    async with service.client(Cookie=f"session_token={cookie}") as browser:
        answer = await browser.patch(
            ME, json={"name": "Eve"}, headers={"X-CSRF-Token": other["csrf_token"]}
        )
    assert answer.status_code == 403


async def test_signing_out_ends_the_session_and_takes_the_cookie_back(
    service: Service, client: httpx.AsyncClient
) -> None:
    owner = await an_owner(service)
    body, cookie, _ = await sign_in(client, owner)
    async with service.client(Cookie=f"session_token={cookie}") as browser:
        assert (await browser.get(ME)).status_code == 200
        assert (await browser.delete(SESSION)).status_code == 403
        answer = await browser.delete(SESSION, headers={"X-CSRF-Token": body["csrf_token"]})
        assert answer.status_code == 204
        assert 'session_token=""' in answer.headers["set-cookie"]
        assert (await browser.get(ME)).status_code == 401


async def test_a_browser_session_runs_out(service: Service, client: httpx.AsyncClient) -> None:
    owner = await an_owner(service)
    _, cookie, _ = await sign_in(client, owner)
    async with service.client(Cookie=f"session_token={cookie}") as browser:
        service.clock.advance(days=30)
        assert (await browser.get(ME)).status_code == 401


async def test_switching_moves_the_browser_to_the_other_organization(
    service: Service, client: httpx.AsyncClient
) -> None:
    owner = await an_owner(service)
    second = (await owner.client.post("/api/v1/organizations", json={"name": "Second"})).json()
    body, cookie, _ = await sign_in(client, owner)
    async with service.client(Cookie=f"session_token={cookie}") as browser:
        assert (await browser.get(ME)).json()["organization"]["id"] == owner.id
        answer = await browser.post(
            "/api/v1/auth/switch",
            json={"organization_id": second["id"]},
            headers={"X-CSRF-Token": body["csrf_token"]},
        )
        assert answer.status_code == 200
        assert answer.json()["organization"]["id"] == second["id"]
        assert (await browser.get(ME)).json()["organization"]["id"] == second["id"]


@pytest.mark.parametrize(("env", "is_secure"), [("development", False), ("test", True)])
async def test_the_cookie_is_secure_outside_development(
    service: Service, fresh_url, env: str, is_secure: bool
) -> None:
    async with running(fresh_url, service.clock, env=env) as other, other.client() as client:
        owner = await an_owner(other)
        _, _, line = await sign_in(client, owner)
    assert ("secure" in line.lower()) is is_secure
