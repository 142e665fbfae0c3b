"""Refreshing, revoking, and how fast the end of a token is known."""

import asyncio
from datetime import timedelta

import httpx
import jwt
from sqlalchemy import text

from app.auth.service import RevocationService
from tests.factories.people import Owner, an_owner
from tests.support.service import TEST_SECRET, Service

ME = "/api/v1/auth/me"


async def status(service: Service, token: str) -> int:
    async with service.client(token) as client:
        return (await client.get(ME)).status_code


async def refresh(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post("/api/v1/auth/refresh", json={"refresh_token": token})


async def another_session(service: Service, owner: Owner) -> dict[str, str]:
    async with service.client() as client:
        answer = await client.post(
            "/api/v1/auth/login", json={"email": owner.email, "password": owner.password}
        )
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_refresh_gives_a_pair_that_works(
    service: Service, client: httpx.AsyncClient
) -> None:
    owner = await an_owner(service)
    answer = await refresh(client, owner.refresh_token)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["refresh_token"] != owner.refresh_token
    assert body["organization"]["id"] == owner.id
    assert await status(service, body["access_token"]) == 200


async def test_the_second_use_of_a_refresh_token_ends_the_family(
    service: Service, client: httpx.AsyncClient
) -> None:
    owner = await an_owner(service)
    first = (await refresh(client, owner.refresh_token)).json()
    assert await status(service, first["access_token"]) == 200

    reused = await refresh(client, owner.refresh_token)
    assert reused.status_code == 401
    assert reused.json()["code"] == "refresh_token_reused"

    assert (await refresh(client, first["refresh_token"])).json()["code"] == (
        "invalid_refresh_token"
    )
    assert await status(service, first["access_token"]) == 401
    assert await status(service, owner.token) == 401


async def test_of_two_racing_refreshes_exactly_one_wins(
    service: Service, client: httpx.AsyncClient
) -> None:
    for _ in range(5):
        owner = await an_owner(service)
        answers = await asyncio.gather(*[refresh(client, owner.refresh_token) for _ in range(4)])
        assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]
        winner = next(answer.json() for answer in answers if answer.status_code == 200)
        assert await status(service, winner["access_token"]) == 401


async def test_a_refresh_whose_answer_was_lost_is_repeated_with_its_key(
    service: Service, client: httpx.AsyncClient
) -> None:
    owner = await an_owner(service)
    answers = [
        await client.post(
            "/api/v1/auth/refresh",
            json={"refresh_token": owner.refresh_token},
            headers={"Idempotency-Key": f"refresh-{owner.id}"},
        )
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert await status(service, answers[1].json()["access_token"]) == 200


async def test_a_refresh_token_runs_out(service: Service, client: httpx.AsyncClient) -> None:
    owner = await an_owner(service)
    service.clock.advance(days=30)
    answer = await refresh(client, owner.refresh_token)
    assert answer.status_code == 401
    assert answer.json()["code"] == "invalid_refresh_token"


async def test_an_access_token_runs_out_even_when_it_is_remembered(service: Service) -> None:
    owner = await an_owner(service)
    service.clock.advance(hours=23, minutes=59, seconds=59)
    assert await status(service, owner.token) == 200
    service.clock.advance(seconds=1)
    answer = await owner.client.get(ME)
    assert answer.status_code == 401
    assert answer.json()["code"] == "token_expired"


async def test_logging_out_kills_the_access_token_and_its_family(
    service: Service, client: httpx.AsyncClient
) -> None:
    owner = await an_owner(service)
    other = await another_session(service, owner)
    answer = await owner.client.post("/api/v1/auth/logout")
    assert answer.status_code == 200
    assert answer.json()["success"] is True
    assert await status(service, owner.token) == 401
    assert (await refresh(client, owner.refresh_token)).status_code == 401
    assert await status(service, other["access_token"]) == 200


async def test_revoking_an_access_token_leaves_its_session(
    service: Service, client: httpx.AsyncClient
) -> None:
    owner = await an_owner(service)
    answer = await owner.client.post(
        "/api/v1/auth/revoke", json={"token": owner.token, "reason": "manual_revocation"}
    )
    assert answer.status_code == 200
    assert answer.json() == {"success": True, "message": "Token revoked successfully"}
    assert await status(service, owner.token) == 401
    assert (await refresh(client, owner.refresh_token)).status_code == 200


async def test_revoking_a_refresh_token_ends_its_session(
    service: Service, client: httpx.AsyncClient
) -> None:
    owner = await an_owner(service)
    other = await another_session(service, owner)
    answer = await owner.client.post("/api/v1/auth/revoke", json={"token": other["refresh_token"]})
    assert answer.status_code == 200
    assert await status(service, other["access_token"]) == 401
    assert await status(service, owner.token) == 200


async def test_a_strangers_token_is_not_found(service: Service) -> None:
    owner, stranger = await an_owner(service), await an_owner(service)
    for token in (owner.token, owner.refresh_token, "art_unknown", "a.b.c"):
        answer = await stranger.client.post("/api/v1/auth/revoke", json={"token": token})
        assert answer.status_code == 404, token
    assert await status(service, owner.token) == 200


async def test_an_operator_revokes_anybodys_token(service: Service) -> None:
    owner, operator = await an_owner(service), await an_owner(service)
    async with service.work.begin_platform() as session:
        await session.execute(
            text("update users set is_operator = true where id = :id"), {"id": operator.user_id}
        )
    answer = await operator.client.post("/api/v1/auth/revoke", json={"token": owner.token})
    assert answer.status_code == 200, answer.text
    assert await status(service, owner.token) == 401


async def test_revoke_all_ends_every_session(service: Service, client: httpx.AsyncClient) -> None:
    owner = await an_owner(service)
    other = await another_session(service, owner)
    assert (await owner.client.post("/api/v1/auth/revoke-all")).status_code == 200
    for token in (owner.token, other["access_token"]):
        assert await status(service, token) == 401
    for token in (owner.refresh_token, other["refresh_token"]):
        assert (await refresh(client, token)).status_code == 401
    again = await another_session(service, owner)
    assert await status(service, again["access_token"]) == 200


async def test_revoke_all_catches_a_session_that_was_being_opened(service: Service) -> None:
    """A sign-in that read the clock before, and commits after, is older than the instant."""
    owner = await an_owner(service)
    late = await another_session(service, owner)
    service.clock.advance(seconds=5)
    await owner.client.post("/api/v1/auth/revoke-all", json={"reason": "stolen laptop"})
    async with service.work.begin_platform() as session:
        # As if the sign-in's commit had come a moment after the update of the sessions.
        await session.execute(
            text("update auth_sessions set revoked_at = null where user_id = :id"),
            {"id": owner.user_id},
        )
    assert await status(service, late["access_token"]) == 401


async def test_devices_are_listed_and_signed_out_one_by_one(service: Service) -> None:
    owner = await an_owner(service)
    other = await another_session(service, owner)
    listed = (await owner.client.get("/api/v1/auth/sessions")).json()
    assert len(listed["data"]) == 2
    assert [session["is_current"] for session in listed["data"]] == [False, True]

    answer = await owner.client.delete(f"/api/v1/auth/sessions/{listed['data'][0]['id']}")
    assert answer.status_code == 204
    assert await status(service, other["access_token"]) == 401
    assert len((await owner.client.get("/api/v1/auth/sessions")).json()["data"]) == 1

    stranger = await an_owner(service)
    answer = await stranger.client.delete(f"/api/v1/auth/sessions/{listed['data'][1]['id']}")
    assert answer.status_code == 404
    assert await status(service, owner.token) == 200


async def test_forged_tokens_are_refused(service: Service) -> None:
    owner = await an_owner(service)
    claims = jwt.decode(owner.token, options={"verify_signature": False})
    assert set(claims) == {"sub", "org", "role", "sid", "jti", "iat", "exp", "type"}
    signing_key = b"guess" * 8
    forged = [
        jwt.encode(claims, "", algorithm="none"),
        jwt.encode(claims, signing_key, algorithm="HS256"),
        jwt.encode(claims, TEST_SECRET, algorithm="HS256"),
        owner.token[:-3] + "AAA",
        owner.token.rsplit(".", 1)[0] + ".",
    ]
    for token in forged:
        assert await status(service, token) == 401, token


async def test_a_signed_token_without_a_claim_is_refused(service: Service) -> None:
    from app.auth.service import AccessTokens

    owner = await an_owner(service)
    claims = jwt.decode(owner.token, options={"verify_signature": False})
    signed = service.services[AccessTokens]._signed
    assert await status(service, signed.sign(claims)) == 200
    for name in claims:
        lacking = {key: value for key, value in claims.items() if key != name}
        assert await status(service, signed.sign(lacking)) == 401, name
    assert await status(service, signed.sign({**claims, "type": "refresh"})) == 401


async def test_what_ran_out_is_forgotten(service: Service) -> None:
    owner = await an_owner(service)
    await owner.client.post("/api/v1/auth/revoke", json={"token": owner.token})
    await owner.client.post("/api/v1/auth/revoke", json={"token": owner.refresh_token})
    count = text(
        "select (select count(*) from revocations where user_id = :id),"
        " (select count(*) from auth_sessions where user_id = :id)"
    )

    async def kept() -> tuple[int, int]:
        async with service.work.begin_platform() as session:
            row = (await session.execute(count, {"id": owner.user_id})).one()
        return int(row[0]), int(row[1])

    revocations = service.services[RevocationService]
    service.clock.advance(hours=23)
    await revocations.forget_expired()
    assert (await kept())[0] == 1
    service.clock.advance(timedelta(days=31))
    await revocations.forget_expired()
    assert await kept() == (0, 0)
