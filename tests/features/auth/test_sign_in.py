"""Signing up and signing in."""

import asyncio

import httpx
from sqlalchemy import event, text

from app.kernel.ids import encode_id
from app.organizations.models import Organization
from tests.factories.people import PASSWORD, an_email, an_owner
from tests.support.service import Service


def registration(email: str, **changes: object) -> dict[str, object]:
    return {"email": email, "password": PASSWORD, "name": "Ada", **changes}


async def test_registering_opens_an_account_with_an_organization(
    client: httpx.AsyncClient,
) -> None:
    email = an_email("Ada")
    answer = await client.post(
        "/api/v1/auth/register", json=registration(email, organization_name="Engines & Co")
    )
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert body["user"]["email"] == email.lower()
    assert body["organization"]["name"] == "Engines & Co"
    assert body["organization"]["role"] == "owner"
    assert body["organization"]["slug"].startswith("engines-co")
    assert body["token_type"] == "bearer"
    assert body["expires_in"] == 24 * 3600

    me = await client.get(
        "/api/v1/auth/me", headers={"Authorization": f"Bearer {body['access_token']}"}
    )
    assert me.status_code == 200, me.text
    assert me.json()["id"] == body["user"]["id"]
    assert me.json()["organization"]["id"] == body["organization"]["id"]
    assert me.json()["organization"]["tier"] == "free"
    assert [each["role"] for each in me.json()["organizations"]] == ["owner"]
    assert me.json()["token_type"] == "access"
    assert me.json()["has_api_key"] is False
    assert me.json()["is_operator"] is False


async def test_whoever_registers_is_named_in_both_books(service: Service) -> None:
    owner = await an_owner(service)
    async with service.work.begin_platform() as session:
        actors = await session.execute(
            text(
                "select action, actor from audit_entries where organization_id = :organization"
                " union select action, actor from platform_audit_entries where actor = :actor"
            ),
            {"organization": owner.organization_id, "actor": f"user:{owner.user_id}"},
        )
        found = {row.action: row.actor for row in actors}
    assert found.keys() == {"organizations.created", "users.created", "sessions.opened"}
    assert set(found.values()) == {f"user:{owner.user_id}"}


async def test_of_two_registrations_of_one_address_at_once_one_wins(
    client: httpx.AsyncClient,
) -> None:
    email = an_email()
    answers = await asyncio.gather(
        client.post("/api/v1/auth/register", json=registration(email)),
        client.post("/api/v1/auth/register", json=registration(email.upper())),
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert refused.json()["code"] == "email_taken"


async def test_sign_in_answers_alike_for_unknown_and_wrong(
    service: Service, client: httpx.AsyncClient
) -> None:
    owner = await an_owner(service)
    wrong = await client.post(
        "/api/v1/auth/login", json={"email": owner.email, "password": "not-the-password"}
    )
    unknown = await client.post(
        "/api/v1/auth/login", json={"email": an_email(), "password": "not-the-password"}
    )
    for answer in (wrong, unknown):
        assert answer.status_code == 401
        assert answer.json()["code"] == "invalid_credentials"
    assert {**wrong.json(), "request_id": ""} == {**unknown.json(), "request_id": ""}


async def test_sign_in_ignores_the_case_of_the_address(
    service: Service, client: httpx.AsyncClient
) -> None:
    owner = await an_owner(service)
    answer = await client.post(
        "/api/v1/auth/login", json={"email": owner.email.upper(), "password": owner.password}
    )
    assert answer.status_code == 200
    assert answer.json()["organization"]["id"] == owner.id


async def test_sign_in_to_a_strangers_organization_finds_nothing(
    service: Service, client: httpx.AsyncClient
) -> None:
    owner, stranger = await an_owner(service), await an_owner(service)
    answer = await client.post(
        "/api/v1/auth/login",
        json={
            "email": owner.email,
            "password": owner.password,
            "organization_id": stranger.id,
        },
    )
    assert answer.status_code == 404


async def test_who_belongs_to_many_signs_in_to_one_and_only_that_is_read(
    service: Service, client: httpx.AsyncClient
) -> None:
    """Reading all of them would hold up everybody else's requests."""
    owner = await an_owner(service)
    others = [
        (await owner.client.post("/api/v1/organizations", json={"name": f"{n}"})).json()["id"]
        for n in range(6)
    ]
    read = []

    def note(organization: Organization, _: object) -> None:
        read.append(organization.id)

    event.listen(Organization, "load", note)
    try:
        for asked, found in ((None, owner.id), (others[3], others[3]), (others[5], others[5])):
            read.clear()
            wanted = {"organization_id": asked} if asked else {}
            account = {"email": owner.email, "password": owner.password}
            answer = (await client.post("/api/v1/auth/login", json={**account, **wanted})).json()
            assert answer["organization"]["id"] == found
            refresh = {"refresh_token": answer["refresh_token"]}
            answer = (await client.post("/api/v1/auth/refresh", json=refresh)).json()
            assert answer["organization"]["id"] == found
            assert {encode_id("org", each) for each in read} == {found}
    finally:
        event.remove(Organization, "load", note)


async def test_nothing_without_a_token(client: httpx.AsyncClient) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"X-API-Key": "ara_nonsense"}):
        answer = await client.get("/api/v1/auth/me", headers=headers)
        assert answer.status_code == 401
        assert answer.json()["code"] == "not_authenticated"
