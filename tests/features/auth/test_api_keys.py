"""Keys for programs."""

import asyncio

import httpx
import pytest
from sqlalchemy import text

from tests.factories.people import Owner, an_owner, grant_plan
from tests.support.service import Service

KEYS = "/api/v1/auth/api-keys"
ME = "/api/v1/auth/me"


async def a_key(owner: Owner, **fields: object) -> dict[str, str]:
    answer = await owner.client.post(KEYS, json={"name": "metering", **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def status(service: Service, key: str, method: str = "GET", path: str = ME) -> int:
    async with service.client(key) as client:
        return (await client.request(method, path)).status_code


@pytest.fixture
async def owner(service: Service) -> Owner:
    return await an_owner(service, plan="professional")


async def test_a_key_is_shown_once_and_opens_its_organization(
    service: Service, owner: Owner
) -> None:
    made = await a_key(owner)
    assert made["key"].startswith("ara_")
    assert len(made["key"]) >= len("ara_") + 32
    assert made["key"].startswith(made["prefix"])
    assert len(made["prefix"]) == 12

    listed = (await owner.client.get(KEYS)).json()["data"]
    assert [key["id"] for key in listed] == [made["id"]]
    assert made["key"] not in str(listed)

    for headers in ({"Authorization": f"Bearer {made['key']}"}, {"X-API-Key": made["key"]}):
        async with service.client(**headers) as client:
            me = (await client.get(ME)).json()
        assert me["token_type"] == "api_key"
        assert me["organization"]["id"] == owner.id
        assert me["has_api_key"] is True


async def test_only_a_keyed_hash_is_stored(service: Service, owner: Owner) -> None:
    made = await a_key(owner)
    async with service.work.begin_platform() as session:
        row = await session.scalar(
            text("select row_to_json(k)::text from api_keys k where organization_id = :id"),
            {"id": owner.organization_id},
        )
    assert made["key"] not in row
    assert made["key"][12:44] not in row


async def test_the_plan_must_include_keys(service: Service) -> None:
    free = await an_owner(service)
    answer = await free.client.post(KEYS, json={"name": "metering"})
    assert answer.status_code == 402
    assert answer.json()["code"] == "feature_not_in_plan"
    assert answer.json()["upgrade_to"] == "professional"


async def test_a_key_stops_when_the_plan_no_longer_includes_keys(
    service: Service, owner: Owner
) -> None:
    made = await a_key(owner)
    assert await status(service, made["key"]) == 200
    await grant_plan(service, owner.organization_id, "starter")
    async with service.client(made["key"]) as client:
        answer = await client.get(ME)
    assert answer.status_code == 403
    assert answer.json()["code"] == "feature_not_in_plan"
    await grant_plan(service, owner.organization_id, "professional")
    assert await status(service, made["key"]) == 200


async def test_scopes_bound_what_a_key_may_do(service: Service, owner: Owner) -> None:
    reading = await a_key(owner, scopes=["organization.read"])
    path = f"/api/v1/organizations/{owner.id}"
    assert await status(service, reading["key"], "GET", path) == 200
    async with service.client(reading["key"]) as client:
        answer = await client.patch(path, json={"name": "Mine"})
        assert answer.status_code == 403
        assert answer.json()["code"] == "missing_permission"
        assert (await client.post(KEYS, json={"name": "more"})).status_code == 403
        assert (await client.post("/api/v1/auth/logout")).json()["code"] == "people_only"


async def test_a_key_cannot_grant_what_it_lacks(service: Service, owner: Owner) -> None:
    keeper = await a_key(owner, scopes=["api_keys.write", "usage.read"])
    async with service.client(keeper["key"]) as client:
        more = await client.post(KEYS, json={"name": "more", "scopes": ["billing.write"]})
        assert more.status_code == 403
        same = await client.post(KEYS, json={"name": "same", "scopes": ["usage.read"]})
        assert same.status_code == 201


async def test_a_key_is_never_an_operator(service: Service, owner: Owner) -> None:
    made = await a_key(owner)
    async with service.work.begin_platform() as session:
        await session.execute(
            text("update users set is_operator = true where id = :id"), {"id": owner.user_id}
        )
    stranger = await an_owner(service)
    async with service.client(made["key"]) as client:
        answer = await client.post("/api/v1/auth/revoke", json={"token": stranger.token})
    assert answer.status_code == 403


async def test_a_key_expires(service: Service, owner: Owner) -> None:
    past = await owner.client.post(
        KEYS, json={"name": "late", "expires_at": "2026-11-21T08:59:59Z"}
    )
    assert past.status_code == 422
    made = await a_key(owner, expires_at="2026-11-21T09:00:30Z")
    assert await status(service, made["key"]) == 200
    service.clock.advance(seconds=29)
    assert await status(service, made["key"]) == 200
    service.clock.advance(seconds=1)
    assert await status(service, made["key"]) == 401


async def test_a_deleted_key_is_dead_at_once(service: Service, owner: Owner) -> None:
    made = await a_key(owner)
    assert await status(service, made["key"]) == 200
    assert (await owner.client.delete(f"{KEYS}/{made['id']}")).status_code == 204
    assert await status(service, made["key"]) == 401
    assert (await owner.client.delete(f"{KEYS}/{made['id']}")).status_code == 404


async def test_a_rotated_key_overlaps_with_its_successor(service: Service, owner: Owner) -> None:
    old = await a_key(owner, scopes=["organization.read"])
    answer = await owner.client.post(f"{KEYS}/{old['id']}/rotate", json={"overlap_seconds": 3600})
    assert answer.status_code == 201, answer.text
    new = answer.json()
    assert new["key"] != old["key"]
    assert new["scopes"] == ["organization.read"]
    assert await status(service, old["key"]) == 200
    assert await status(service, new["key"]) == 200
    service.clock.advance(hours=1)
    assert await status(service, old["key"]) == 401
    assert await status(service, new["key"]) == 200


async def test_of_two_racing_rotations_one_wins(service: Service, owner: Owner) -> None:
    old = await a_key(owner)
    answers = await asyncio.gather(
        *[owner.client.post(f"{KEYS}/{old['id']}/rotate") for _ in range(3)]
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert len((await owner.client.get(KEYS)).json()["data"]) == 2


async def test_last_use_is_written_once_a_minute(service: Service, owner: Owner) -> None:
    made = await a_key(owner)

    async def last_used() -> str | None:
        return (await owner.client.get(KEYS)).json()["data"][0]["last_used_at"]

    assert await last_used() is None
    await status(service, made["key"])
    assert await last_used() == "2026-11-21T09:00:00Z"
    service.clock.advance(seconds=59)
    await status(service, made["key"])
    assert await last_used() == "2026-11-21T09:00:00Z"
    service.clock.advance(seconds=1)
    await status(service, made["key"])
    assert await last_used() == "2026-11-21T09:01:00Z"


async def test_a_strangers_key_is_not_found(service: Service, owner: Owner) -> None:
    made = await a_key(owner)
    stranger = await an_owner(service, plan="professional")
    answers: list[httpx.Response] = [
        await stranger.client.delete(f"{KEYS}/{made['id']}"),
        await stranger.client.post(f"{KEYS}/{made['id']}/rotate"),
        await stranger.client.post("/api/v1/auth/revoke", json={"token": made["key"]}),
    ]
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert await status(service, made["key"]) == 200
    assert await status(service, made["key"], "GET", f"/api/v1/organizations/{stranger.id}") == 404


async def test_revoking_a_key_by_its_text_deletes_it(service: Service, owner: Owner) -> None:
    made = await a_key(owner)
    async with service.client(made["key"]) as client:
        assert (
            await client.post("/api/v1/auth/revoke", json={"token": made["key"]})
        ).status_code == 200
    assert await status(service, made["key"]) == 401


@pytest.mark.parametrize("change", [lambda k: k[:-1] + ("0" if k[-1] != "0" else "1")])
async def test_a_key_for_another_organization_does_not_fit(
    service: Service, owner: Owner, change
) -> None:
    made = await a_key(owner)
    assert await status(service, change(made["key"])) == 401
    assert await status(service, made["key"][:5] + "x" * (len(made["key"]) - 5)) == 401
