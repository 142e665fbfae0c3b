"""Organizations, their names, and their windows."""

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from app.catalog.service import CatalogService
from app.kernel.ids import OrganizationId, new_id
from app.kernel.periods import Period
from app.kernel.principal import MissingPermission, Permission, require
from app.organizations.domain import Access, Role, permissions_of
from app.organizations.errors import StripeCustomerTaken
from app.organizations.service import OrganizationService
from tests.factories.people import an_owner, grant_plan
from tests.support.service import Service

ORGANIZATIONS = "/api/v1/organizations"


async def test_a_new_organization_holds_the_free_plan(service: Service) -> None:
    owner = await an_owner(service)
    answer = await owner.client.get(f"{ORGANIZATIONS}/{owner.id}")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["tier"] == "free"
    assert body["limits"]["debates"] == 10
    assert body["usage"]["debates_used"] == 0
    assert body["usage"]["debates_remaining"] == 10
    assert body["usage"]["is_at_limit"] is False
    assert body["usage"]["window_start"] == "2026-11-01T00:00:00Z"
    assert body["usage"]["window_end"] == "2026-12-01T00:00:00Z"
    assert body["seats"] == {"used": 1, "limit": 1}
    assert body["role"] == "owner"


async def test_unlimited_is_null(service: Service) -> None:
    owner = await an_owner(service, plan="enterprise")
    body = (await owner.client.get(f"{ORGANIZATIONS}/{owner.id}")).json()
    assert body["tier"] == "enterprise"
    assert body["limits"]["debates"] is None
    assert body["usage"]["debates_remaining"] is None
    assert body["seats"]["limit"] is None
    assert "sso" in body["features"]


async def test_one_person_may_open_several_and_looks_after_all(service: Service) -> None:
    owner = await an_owner(service)
    created = await owner.client.post(ORGANIZATIONS, json={"name": "Second"})
    assert created.status_code == 201, created.text
    listed = (await owner.client.get(ORGANIZATIONS)).json()
    assert [each["id"] for each in listed["data"]] == [created.json()["id"], owner.id]
    first = (await owner.client.get(ORGANIZATIONS, params={"limit": 1})).json()
    assert first["has_more"] is True
    cursor = {"limit": 1, "cursor": first["next_cursor"]}
    assert (await owner.client.get(ORGANIZATIONS, params=cursor)).json()["data"] == [
        listed["data"][1]
    ]
    path = f"{ORGANIZATIONS}/{created.json()['id']}"
    assert (await owner.client.get(path)).status_code == 200
    renamed = await owner.client.patch(path, json={"name": "Third"})
    assert renamed.json()["name"] == "Third"
    assert renamed.json()["slug"] == created.json()["slug"]


async def test_a_strangers_organization_is_not_found(service: Service) -> None:
    owner, stranger = await an_owner(service), await an_owner(service)
    path = f"{ORGANIZATIONS}/{owner.id}"
    assert (await stranger.client.get(path)).status_code == 404
    assert (await stranger.client.patch(path, json={"name": "Mine"})).status_code == 404
    assert (await stranger.client.get(f"{path}/members")).status_code == 404


async def test_equal_names_at_once_get_different_slugs(service: Service) -> None:
    owner = await an_owner(service)
    answers = await asyncio.gather(
        *[owner.client.post(ORGANIZATIONS, json={"name": "Größe & Söhne"}) for _ in range(4)]
    )
    slugs = {answer.json()["slug"] for answer in answers}
    assert len(slugs) == 4
    assert all(slug.startswith("grosse-sohne") for slug in slugs)
    nameless = await owner.client.post(ORGANIZATIONS, json={"name": "???"})
    assert nameless.json()["slug"].startswith("organization")


async def test_a_repeated_post_with_one_key_opens_one_organization(service: Service) -> None:
    owner = await an_owner(service)
    headers = {"Idempotency-Key": "open-once"}
    first = await owner.client.post(ORGANIZATIONS, json={"name": "Once"}, headers=headers)
    second = await owner.client.post(ORGANIZATIONS, json={"name": "Once"}, headers=headers)
    assert first.json() == second.json()
    assert second.headers["idempotent-replayed"] == "true"
    assert len((await owner.client.get(ORGANIZATIONS)).json()["data"]) == 2


def at(month: int, day: int, hour: int = 0) -> datetime:
    return datetime(2026 if month > 6 else 2027, month, day, hour, tzinfo=UTC)


async def test_late_events_find_the_window_they_belong_to(service: Service) -> None:
    owner = await an_owner(service)
    organizations = service.services[OrganizationService]
    catalog = service.services[CatalogService].active
    november, december = (Period(at(11, 21), at(12, 21)), Period(at(12, 21), at(1, 21)))
    where = organizations.window_at
    here = owner.organization_id

    assert await where(here, at(11, 10)) == Period(at(11, 1), at(12, 1))
    await organizations.apply_entitlements(here, catalog.entitlements("starter", november))
    assert await where(here, at(11, 22)) == november
    # The free month ended where the paid window began.
    assert await where(here, at(11, 10)) == Period(at(11, 1), at(11, 21))

    service.clock.set(at(12, 21, 1))
    await organizations.apply_entitlements(here, catalog.entitlements("starter", december))
    await organizations.apply_entitlements(here, catalog.entitlements("starter", december))
    assert await where(here, at(12, 20)) == november
    assert await where(here, at(12, 22)) == december
    # Until the next invoice is paid, the last window goes on counting.
    assert await where(here, at(1, 22)) == december

    service.clock.set(at(1, 3))
    await organizations.apply_entitlements(here, catalog.free_entitlements())
    assert await where(here, at(1, 2)) == Period(at(12, 21), at(1, 3))
    assert await where(here, at(1, 4)) == Period(at(1, 1), at(2, 1))


async def test_the_plan_granted_twice_at_once_closes_a_window_once(service: Service) -> None:
    owner = await an_owner(service)
    organizations = service.services[OrganizationService]
    granted = service.services[CatalogService].active.entitlements(
        "starter", Period(at(11, 21), at(12, 21))
    )
    await asyncio.gather(
        *[organizations.apply_entitlements(owner.organization_id, granted) for _ in range(5)]
    )
    assert await organizations.window_at(owner.organization_id, at(11, 20)) == Period(
        at(11, 1), at(11, 21)
    )
    assert (await organizations.entitlements(owner.organization_id)) == granted
    async with service.work.begin_platform() as session:
        entries = await session.scalar(
            text(
                "select count(*) from audit_entries where organization_id = :id"
                " and action = 'organizations.entitlements_changed'"
            ),
            {"id": owner.organization_id},
        )
    assert entries == 1


async def test_a_stripe_customer_belongs_to_one_organization(service: Service) -> None:
    first, second = await an_owner(service), await an_owner(service)
    organizations = service.services[OrganizationService]
    customer = f"cus_{first.organization_id.hex}"
    await organizations.set_stripe_customer(first.organization_id, customer)
    await organizations.set_stripe_customer(first.organization_id, customer)
    for organization_id, customer_id in (
        (second.organization_id, customer),
        (first.organization_id, "cus_other"),
    ):
        try:
            await organizations.set_stripe_customer(organization_id, customer_id)
        except StripeCustomerTaken:
            continue
        raise AssertionError("taken twice")
    found = await organizations.find_by_stripe_customer(customer)
    assert found is not None
    assert found.id == first.organization_id


async def test_a_suspended_organization_may_look_and_pay(service: Service) -> None:
    owner = await an_owner(service, plan="professional")
    key = (await owner.client.post("/api/v1/auth/api-keys", json={"name": "k"})).json()["key"]
    organizations = service.services[OrganizationService]
    await organizations.suspend(owner.organization_id, "a disputed charge")
    path = f"{ORGANIZATIONS}/{owner.id}"
    assert (await owner.client.get(path)).json()["is_suspended"] is True
    refused = await owner.client.patch(path, json={"name": "New"})
    assert (refused.status_code, refused.json()["code"]) == (403, "organization_suspended")
    recorded = await owner.client.post(
        "/api/v1/usage/events", json={"id": "while-suspended", "type": "debate"}
    )
    assert (recorded.status_code, recorded.json()["code"]) == (403, "organization_suspended")
    elsewhere = await owner.client.post(ORGANIZATIONS, json={"name": "Another"})
    token = (
        await owner.client.post(
            "/api/v1/auth/switch", json={"organization_id": elsewhere.json()["id"]}
        )
    ).json()["access_token"]
    async with service.client(token) as from_elsewhere:
        refused = await from_elsewhere.patch(path, json={"name": "New"})
        assert (refused.status_code, refused.json()["code"]) == (403, "organization_suspended")
    async with service.client(key) as program:
        answer = await program.get(path)
        assert answer.status_code == 403
        assert answer.json()["code"] == "organization_suspended"
    await organizations.restore(owner.organization_id, "won")
    assert (await owner.client.patch(path, json={"name": "New"})).status_code == 200


def test_what_a_role_never_allowed_is_not_withheld() -> None:
    held = permissions_of(Role.VIEWER, is_suspended=True)
    viewer = Access(OrganizationId(new_id()), Role.VIEWER, held, frozenset(), is_suspended=True)
    assert Permission.ORGANIZATION_WRITE not in viewer.withheld
    with pytest.raises(MissingPermission):
        require(Permission.ORGANIZATION_WRITE, viewer.permissions, viewer.withheld)


async def test_a_downgrade_keeps_people_but_adds_none(service: Service) -> None:
    owner = await an_owner(service, plan="professional")
    await grant_plan(service, owner.organization_id, "free")
    answer = await owner.client.post(
        f"{ORGANIZATIONS}/{owner.id}/invites", json={"email": "a@example.com", "role": "member"}
    )
    assert answer.status_code == 402
    assert answer.json()["code"] == "seat_limit_reached"
    assert answer.json()["limit"] == 1
    assert answer.json()["upgrade_to"] == "starter"
