"""Members, roles, invitations, seats."""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import text

from app.kernel.ids import decode_id, encode_id
from app.organizations.domain import PERMISSIONS, Role
from app.organizations.service import InviteService
from tests.factories.people import Owner, an_email, an_owner, grant_plan
from tests.support.service import Service

ORGANIZATIONS = "/api/v1/organizations"
ME = "/api/v1/auth/me"


def person_id(owner: Owner) -> str:
    return encode_id("usr", owner.user_id)


async def an_invite(
    service: Service, owner: Owner, email: str, role: str = "member"
) -> tuple[dict[str, Any], str]:
    """The invitation, and the token of its mail."""
    answer = await owner.client.post(
        f"{ORGANIZATIONS}/{owner.id}/invites", json={"email": email, "role": role}
    )
    assert answer.status_code == 201, answer.text
    token = await service.services[InviteService].issue_invite_token(
        owner.organization_id, decode_id("ivt", answer.json()["id"])
    )
    return answer.json(), token


async def accept(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post(f"{ORGANIZATIONS}/invites/accept", json={"token": token})


async def a_member(service: Service, owner: Owner, role: str = "member") -> Owner:
    """Someone with an account of their own who accepted an invitation of *owner*."""
    guest = await an_owner(service, name="Grace Hopper")
    _, token = await an_invite(service, owner, guest.email, role)
    answer = await accept(guest.client, token)
    assert answer.status_code == 200, answer.text
    return guest


@dataclass
class Team:
    owner: Owner
    guest: Owner
    token: str
    """The guest's access token for the team's organization."""


async def a_team(service: Service, role: str = "member") -> Team:
    owner = await an_owner(service, plan="professional")
    guest = await a_member(service, owner, role)
    answer = await guest.client.post("/api/v1/auth/switch", json={"organization_id": owner.id})
    assert answer.status_code == 200, answer.text
    return Team(owner, guest, answer.json()["access_token"])


async def test_an_invited_person_comes_in(service: Service) -> None:
    owner = await an_owner(service, plan="professional")
    guest = await an_owner(service)
    invite, token = await an_invite(service, owner, guest.email.upper(), "billing")
    assert token not in str(invite)
    open_invites = (await owner.client.get(f"{ORGANIZATIONS}/{owner.id}/invites")).json()["data"]
    assert [each["id"] for each in open_invites] == [invite["id"]]

    answer = await accept(guest.client, token)
    assert answer.status_code == 200, answer.text
    assert answer.json()["role"] == "billing"
    assert answer.json()["organization"]["id"] == owner.id
    assert (await guest.client.get(ME)).json()["email_verified"] is True

    members = (await owner.client.get(f"{ORGANIZATIONS}/{owner.id}/members")).json()["data"]
    assert {member["email"]: member["role"] for member in members} == {
        owner.email: "owner",
        guest.email: "billing",
    }
    assert (await owner.client.get(f"{ORGANIZATIONS}/{owner.id}/invites")).json()["data"] == []
    body = (await owner.client.get(f"{ORGANIZATIONS}/{owner.id}")).json()
    assert body["seats"] == {"used": 2, "limit": 10}


async def test_an_invitation_is_accepted_once(service: Service) -> None:
    owner = await an_owner(service, plan="professional")
    guest = await an_owner(service)
    _, token = await an_invite(service, owner, guest.email)
    answers = await asyncio.gather(*[accept(guest.client, token) for _ in range(3)])
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    again = await accept(guest.client, token)
    assert again.status_code == 409
    assert again.json()["code"] == "invite_already_accepted"


async def test_two_accepts_for_the_last_seat_let_one_in(service: Service) -> None:
    owner = await an_owner(service, plan="professional")
    guests = [await an_owner(service) for _ in range(3)]
    tokens = [(await an_invite(service, owner, guest.email))[1] for guest in guests]
    await grant_plan(service, owner.organization_id, "starter")
    answers = await asyncio.gather(
        *[accept(guest.client, token) for guest, token in zip(guests, tokens, strict=True)]
    )
    assert sorted(answer.status_code for answer in answers) == [200, 402, 402]
    refused = next(answer.json() for answer in answers if answer.status_code == 402)
    assert refused["code"] == "seat_limit_reached"
    assert (refused["limit"], refused["used"], refused["remaining"]) == (2, 2, 0)
    assert refused["upgrade_to"] == "professional"
    members = (await owner.client.get(f"{ORGANIZATIONS}/{owner.id}/members")).json()["data"]
    assert len(members) == 2


async def test_open_invitations_take_seats_also_when_made_at_once(service: Service) -> None:
    owner = await an_owner(service, plan="starter")
    answers = await asyncio.gather(
        *[
            owner.client.post(
                f"{ORGANIZATIONS}/{owner.id}/invites", json={"email": an_email(), "role": "viewer"}
            )
            for _ in range(4)
        ]
    )
    assert sorted(answer.status_code for answer in answers) == [201, 402, 402, 402]


async def test_the_same_address_is_not_invited_twice(service: Service) -> None:
    owner = await an_owner(service, plan="professional")
    email = an_email()
    path = f"{ORGANIZATIONS}/{owner.id}/invites"
    answers = await asyncio.gather(
        *[owner.client.post(path, json={"email": email, "role": "member"}) for _ in range(2)]
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    service.clock.advance(days=7)
    later = await service_login(service, owner)
    again = await later.post(path, json={"email": email, "role": "member"})
    assert again.status_code == 201, "an invitation that ran out makes room"
    itself = await later.post(path, json={"email": owner.email, "role": "member"})
    assert itself.json()["code"] == "already_a_member"


async def service_login(service: Service, owner: Owner) -> httpx.AsyncClient:
    async with service.client() as anonymous:
        answer = await anonymous.post(
            "/api/v1/auth/login", json={"email": owner.email, "password": owner.password}
        )
    return service.client(answer.json()["access_token"])


async def test_an_invitation_is_for_its_address_only(service: Service) -> None:
    owner = await an_owner(service, plan="professional")
    guest, thief = await an_owner(service), await an_owner(service)
    _, token = await an_invite(service, owner, guest.email)
    answer = await accept(thief.client, token)
    assert answer.status_code == 403
    assert answer.json()["code"] == "invite_for_someone_else"
    for wrong in (token[:-1] + "?", token[:60], "x", "é" * 60):
        assert (await accept(guest.client, wrong)).status_code == 404, wrong


async def test_a_withdrawn_or_expired_invitation_is_not_found(service: Service) -> None:
    owner = await an_owner(service, plan="professional")
    guest = await an_owner(service)
    invite, token = await an_invite(service, owner, guest.email)
    path = f"{ORGANIZATIONS}/{owner.id}/invites/{invite['id']}"
    assert (await owner.client.delete(path)).status_code == 204
    assert (await owner.client.delete(path)).status_code == 404
    assert (await accept(guest.client, token)).status_code == 404

    _, token = await an_invite(service, owner, guest.email)
    service.clock.advance(days=7)
    client = await service_login(service, guest)
    assert (await accept(client, token)).status_code == 404


async def test_roles_are_listed_with_their_permissions(service: Service) -> None:
    owner = await an_owner(service)
    roles = (await owner.client.get(f"{ORGANIZATIONS}/roles")).json()["data"]
    listed = {each["role"]: set(each["permissions"]) for each in roles}
    assert listed == {role.value: set(PERMISSIONS[role]) for role in Role}
    assert "billing.write" in listed["billing"]
    assert "usage.write" not in listed["viewer"]


async def test_a_changed_role_counts_at_once(service: Service) -> None:
    team = await a_team(service, "viewer")
    path = f"{ORGANIZATIONS}/{team.owner.id}"
    async with service.client(team.token) as guest:
        assert (await guest.patch(path, json={"name": "X"})).status_code == 403
        changed = await team.owner.client.patch(
            f"{path}/members/{person_id(team.guest)}", json={"role": "admin"}
        )
        assert changed.status_code == 200, changed.text
        assert changed.json()["role"] == "admin"
        assert (await guest.patch(path, json={"name": "X"})).status_code == 200


async def test_an_admin_neither_makes_nor_removes_owners(service: Service) -> None:
    team = await a_team(service, "admin")
    members = f"{ORGANIZATIONS}/{team.owner.id}/members"
    async with service.client(team.token) as admin:
        answers = [
            await admin.patch(f"{members}/{person_id(team.guest)}", json={"role": "owner"}),
            await admin.patch(f"{members}/{person_id(team.owner)}", json={"role": "viewer"}),
            await admin.delete(f"{members}/{person_id(team.owner)}"),
            await admin.post(
                f"{ORGANIZATIONS}/{team.owner.id}/transfer",
                json={"user_id": person_id(team.guest)},
            ),
        ]
    assert [answer.status_code for answer in answers] == [403, 403, 403, 403]


async def test_the_last_owner_stays(service: Service) -> None:
    team = await a_team(service)
    members = f"{ORGANIZATIONS}/{team.owner.id}/members"
    me = f"{members}/{person_id(team.owner)}"
    for answer in (
        await team.owner.client.delete(me),
        await team.owner.client.patch(me, json={"role": "admin"}),
    ):
        assert answer.status_code == 409
        assert answer.json()["code"] == "last_owner"


async def test_two_owners_who_leave_at_once_leave_one(service: Service) -> None:
    team = await a_team(service)
    members = f"{ORGANIZATIONS}/{team.owner.id}/members"
    await team.owner.client.patch(f"{members}/{person_id(team.guest)}", json={"role": "owner"})
    async with service.client(team.token) as guest:
        answers = await asyncio.gather(
            team.owner.client.delete(f"{members}/{person_id(team.owner)}"),
            guest.delete(f"{members}/{person_id(team.guest)}"),
        )
    assert sorted(answer.status_code for answer in answers) == [204, 409]


async def test_a_removed_member_is_out_at_once_and_so_are_their_keys(service: Service) -> None:
    team = await a_team(service, "admin")
    async with service.client(team.token) as guest:
        key = (await guest.post("/api/v1/auth/api-keys", json={"name": "mine"})).json()["key"]
        async with service.client(key) as program:
            assert (await program.get(ME)).status_code == 200
            removed = await team.owner.client.delete(
                f"{ORGANIZATIONS}/{team.owner.id}/members/{person_id(team.guest)}"
            )
            assert removed.status_code == 204
            assert (await guest.get(ME)).status_code == 401
            assert (await program.get(ME)).status_code == 401
            assert (await team.guest.client.get(ME)).status_code == 200

            await service.drain()
            _, token = await an_invite(service, team.owner, team.guest.email)
            assert (await accept(team.guest.client, token)).status_code == 200
            assert (await program.get(ME)).status_code == 401, "coming back revives no key"


async def test_a_member_may_leave(service: Service) -> None:
    team = await a_team(service, "viewer")
    members = f"{ORGANIZATIONS}/{team.owner.id}/members"
    async with service.client(team.token) as guest:
        assert (await guest.delete(f"{members}/{person_id(team.owner)}")).status_code == 403
        assert (await guest.delete(f"{members}/{person_id(team.guest)}")).status_code == 204


async def test_a_transfer_makes_an_owner_and_unmakes_one(service: Service) -> None:
    team = await a_team(service)
    path = f"{ORGANIZATIONS}/{team.owner.id}"
    stranger = await an_owner(service)
    missing = await team.owner.client.post(
        f"{path}/transfer", json={"user_id": person_id(stranger)}
    )
    assert missing.status_code == 404
    answers = await asyncio.gather(
        *[
            team.owner.client.post(f"{path}/transfer", json={"user_id": person_id(team.guest)})
            for _ in range(2)
        ]
    )
    assert sorted(answer.status_code for answer in answers) == [200, 403]
    members = (await team.owner.client.get(f"{path}/members")).json()["data"]
    assert {member["email"]: member["role"] for member in members} == {
        team.owner.email: "admin",
        team.guest.email: "owner",
    }


async def test_a_removed_member_refreshes_into_their_own_organization(
    service: Service, client: httpx.AsyncClient
) -> None:
    owner = await an_owner(service, plan="professional")
    guest = await a_member(service, owner)
    there = (
        await guest.client.post("/api/v1/auth/switch", json={"organization_id": owner.id})
    ).json()
    await owner.client.delete(f"{ORGANIZATIONS}/{owner.id}/members/{person_id(guest)}")
    answer = await client.post(
        "/api/v1/auth/refresh", json={"refresh_token": there["refresh_token"]}
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["organization"]["id"] == guest.id


async def test_every_change_of_people_leaves_an_entry(service: Service) -> None:
    team = await a_team(service)
    path = f"{ORGANIZATIONS}/{team.owner.id}/members/{person_id(team.guest)}"
    await team.owner.client.patch(path, json={"role": "viewer"})
    await team.owner.client.delete(path)
    async with service.work.begin_platform() as session:
        rows = (
            await session.execute(
                text(
                    "select action, actor, before, after, request_id from audit_entries"
                    " where organization_id = :id order by id"
                ),
                {"id": team.owner.organization_id},
            )
        ).all()
    by_owner = f"user:{team.owner.user_id}"
    changes = {row.action: row for row in rows}
    assert changes["invites.created"].actor == by_owner
    assert changes["members.joined"].actor == f"user:{team.guest.user_id}"
    assert changes["members.role_changed"].actor == by_owner
    assert changes["members.role_changed"].before == {"role": "member"}
    assert changes["members.role_changed"].after == {"role": "viewer"}
    assert changes["members.removed"].before == {"role": "viewer"}
    assert changes["members.removed"].request_id
