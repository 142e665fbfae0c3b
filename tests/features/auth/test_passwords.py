"""Passwords: what is accepted, changing, forgetting, resetting; and the proof of an address."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import URL, text

from app.auth.service import OneTimeTokenService, Operators
from app.users.domain import weakness_of
from app.users.errors import UnknownHash, WeakPassword
from app.users.service import UserService
from tests.factories.people import PASSWORD, Owner, an_email, an_owner
from tests.support.service import Service, running

AUTH = "/api/v1/auth"
NEW = "another-set-of-lives"


async def login(client: httpx.AsyncClient, email: str, password: str) -> httpx.Response:
    return await client.post(f"{AUTH}/login", json={"email": email, "password": password})


async def me(service: Service, token: str) -> httpx.Response:
    async with service.client(token) as client:
        return await client.get(f"{AUTH}/me")


@pytest.mark.parametrize(
    ("password", "is_fine"),
    [
        ("elevenchars", False),
        ("twelve-chars", True),
        ("password1234", False),
        ("Password-1234", False),
        ("qwertyuiop123", False),
        ("aaaaaaaaaaaa", False),
        ("121212121212", False),
        ("ada@example.com", False),
        ("x" * 100 + "abcdefg" * 15, False),
        ("Пароль-на-русском", True),
        ("correct-horse-battery-staple", True),
    ],
)
def test_what_a_password_must_be(password: str, is_fine: bool) -> None:
    assert (weakness_of(password, about=("ada@example.com", "Ada")) is None) is is_fine


async def test_a_weak_password_is_a_422_that_says_why(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        f"{AUTH}/register",
        json={"email": an_email(), "password": "password1234", "name": "Ada"},
    )
    assert answer.status_code == 422
    assert answer.json()["code"] == "weak_password"
    assert "tried first" in answer.json()["reason"]


@pytest.mark.parametrize(
    "email", ["nonsense", "a@b", "a b@example.com", "<a@example.com>", "a@-x.com", "@example.com"]
)
async def test_what_is_no_address_is_refused(client: httpx.AsyncClient, email: str) -> None:
    answer = await client.post(
        f"{AUTH}/register", json={"email": email, "password": PASSWORD, "name": "Ada"}
    )
    assert answer.status_code == 422


async def test_changing_the_password_signs_the_other_devices_out(
    service: Service, client: httpx.AsyncClient
) -> None:
    owner = await an_owner(service)
    other = (await login(client, owner.email, PASSWORD)).json()
    change = {"current_password": "not-the-password", "new_password": NEW}
    wrong = await owner.client.post(f"{AUTH}/password/change", json=change)
    assert wrong.status_code == 401
    assert wrong.json()["code"] == "invalid_credentials"
    weak = await owner.client.post(
        f"{AUTH}/password/change",
        json={"current_password": PASSWORD, "new_password": owner.email},
    )
    assert weak.json()["code"] == "weak_password"

    change["current_password"] = PASSWORD
    assert (await owner.client.post(f"{AUTH}/password/change", json=change)).status_code == 200
    assert (await me(service, owner.token)).status_code == 200
    assert (await me(service, other["access_token"])).status_code == 401
    refreshed = await client.post(f"{AUTH}/refresh", json={"refresh_token": other["refresh_token"]})
    assert refreshed.status_code == 401
    assert (await login(client, owner.email, PASSWORD)).status_code == 401
    assert (await login(client, owner.email, NEW)).status_code == 200


async def test_a_sign_in_with_the_old_password_does_not_outlive_the_change(
    service: Service,
) -> None:
    """The old password was checked before the change and redeemed after it."""
    owner = await an_owner(service)
    users = service.services[UserService]
    verified = await users.verify_password(owner.email, PASSWORD)
    assert verified is not None
    await owner.client.post(
        f"{AUTH}/password/change", json={"current_password": PASSWORD, "new_password": NEW}
    )
    with pytest.raises(Exception, match="wrong"):
        await users.record_sign_in(verified)


async def test_of_two_changes_at_once_one_wins(service: Service) -> None:
    owner = await an_owner(service)
    answers = await asyncio.gather(
        *[
            owner.client.post(
                f"{AUTH}/password/change",
                json={"current_password": PASSWORD, "new_password": f"{NEW}-{number}"},
            )
            for number in range(2)
        ]
    )
    assert sorted(answer.status_code for answer in answers) == [200, 401]


async def test_a_forgotten_password_is_reset_once(
    service: Service, client: httpx.AsyncClient
) -> None:
    owner = await an_owner(service)
    known = await client.post(f"{AUTH}/password/forgot", json={"email": owner.email})
    unknown = await client.post(f"{AUTH}/password/forgot", json={"email": an_email()})
    assert known.status_code == unknown.status_code == 200
    assert known.json() == unknown.json()

    tokens = service.services[OneTimeTokenService]
    replaced = await tokens.issue_password_reset_token(owner.user_id)
    token = await tokens.issue_password_reset_token(owner.user_id)
    for refused in (replaced, "nonsense"):
        answer = await client.post(
            f"{AUTH}/password/reset", json={"token": refused, "new_password": NEW}
        )
        assert answer.status_code == 422
        assert answer.json()["code"] == "invalid_token"
    weak = await client.post(
        f"{AUTH}/password/reset", json={"token": token, "new_password": "password1234"}
    )
    assert weak.json()["code"] == "weak_password"

    reset = {"token": token, "new_password": NEW}
    answers = await asyncio.gather(
        *[client.post(f"{AUTH}/password/reset", json=reset) for _ in range(3)]
    )
    assert sorted(answer.status_code for answer in answers) == [200, 422, 422]
    assert (await me(service, owner.token)).status_code == 401
    assert (await login(client, owner.email, NEW)).json()["user"]["email_verified"] is True


async def test_a_reset_link_runs_out_within_the_hour(
    service: Service, client: httpx.AsyncClient
) -> None:
    owner = await an_owner(service)
    token = await service.services[OneTimeTokenService].issue_password_reset_token(owner.user_id)
    service.clock.advance(hours=1)
    answer = await client.post(f"{AUTH}/password/reset", json={"token": token, "new_password": NEW})
    assert answer.status_code == 422


async def test_an_address_is_proven_once(service: Service, client: httpx.AsyncClient) -> None:
    owner = await an_owner(service)
    tokens = service.services[OneTimeTokenService]
    token = await tokens.issue_email_verification_token(owner.user_id)
    reset = await client.post(f"{AUTH}/password/reset", json={"token": token, "new_password": NEW})
    assert reset.status_code == 422, "a token of one purpose does not serve another"
    assert (await client.post(f"{AUTH}/email/verify", json={"token": token})).status_code == 200
    assert (await me(service, owner.token)).json()["email_verified"] is True
    assert (await client.post(f"{AUTH}/email/verify", json={"token": token})).status_code == 422
    assert (await owner.client.post(f"{AUTH}/email/verify/resend")).status_code == 202


async def stored_hash(service: Service, email: str) -> str:
    async with service.work.begin_platform() as session:
        found = await session.scalar(
            text("select password_hash from users where email = :email"), {"email": email}
        )
    return str(found)


async def test_an_imported_hash_is_upgraded_at_the_next_sign_in(
    service: Service, client: httpx.AsyncClient
) -> None:
    email, salt = an_email(), "9f86d081884c7d65"
    digest = hashlib.sha256((salt + PASSWORD).encode()).hexdigest()
    users = service.services[UserService]
    await users.import_person(email, "Ada", f"sha256${salt}${digest}")
    with pytest.raises(UnknownHash):
        await users.import_person(an_email(), "Eve", digest)

    assert (await login(client, email, "not-the-password")).status_code == 401
    assert (await stored_hash(service, email)).startswith("sha256$")
    answers = await asyncio.gather(*[login(client, email, PASSWORD) for _ in range(2)])
    assert [answer.status_code for answer in answers] == [200, 200]
    upgraded = await stored_hash(service, email)
    assert upgraded.startswith("$argon2id$")
    assert (await login(client, email, PASSWORD)).status_code == 200
    assert await stored_hash(service, email) == upgraded


@pytest.fixture
async def limited(service: Service, fresh_url: URL) -> AsyncIterator[Service]:
    """With limits, and a database of its own: every test calls from the same address."""
    async with running(fresh_url, service.clock, rate_limits="on") as each:
        yield each


async def test_guessing_at_one_account_is_slowed_down(limited: Service) -> None:
    owner: Owner = await an_owner(limited)
    async with limited.client() as client:
        for email in (owner.email, an_email("nobody")):
            answers = await asyncio.gather(
                *[login(client, email, "not-the-password") for _ in range(14)]
            )
            codes = sorted(answer.status_code for answer in answers)
            assert codes == [401] * 10 + [429] * 4
            refused = next(answer for answer in answers if answer.status_code == 429)
            assert 0 < int(refused.headers["retry-after"]) <= 61
        assert (await login(client, owner.email, PASSWORD)).status_code == 429
        limited.clock.advance(minutes=1)
        for _ in range(12):
            assert (await login(client, owner.email, PASSWORD)).status_code == 200


async def test_asking_for_mails_is_slowed_down(limited: Service) -> None:
    email = an_email()
    async with limited.client() as client:
        codes = [
            (await client.post(f"{AUTH}/password/forgot", json={"email": email})).status_code
            for _ in range(6)
        ]
    assert codes == [200] * 5 + [429]


async def test_the_first_operator_is_created_once(service: Service) -> None:
    operators, users = service.services[Operators], service.services[UserService]
    email = an_email("admin")
    await asyncio.gather(*[operators.bootstrap(email, PASSWORD) for _ in range(3)])
    await operators.bootstrap(email.upper(), "another-password-now")
    found = await users.find_by_email(email)
    assert found is not None
    assert found.is_operator
    assert found.email_verified_at is not None
    async with service.client() as client:
        answer = await login(client, email, PASSWORD)
    assert answer.status_code == 200
    assert answer.json()["user"]["is_operator"] is True
    assert answer.json()["organization"] is None
    profile = (await me(service, answer.json()["access_token"])).json()
    assert profile["organization"] is None
    assert profile["organizations"] == []


async def test_whoever_registered_first_is_not_promoted_without_the_password(
    service: Service,
) -> None:
    operators, users = service.services[Operators], service.services[UserService]
    squatter = await an_owner(service)
    await operators.bootstrap(squatter.email, "the-deployers-password")
    found = await users.get(squatter.user_id)
    assert not found.is_operator
    await operators.bootstrap(squatter.email, PASSWORD)
    assert (await users.get(squatter.user_id)).is_operator


async def test_a_weak_operators_password_stops_production_only(service: Service) -> None:
    users = service.services[UserService]
    relaxed = service.services[Operators]
    strict = Operators(users, relaxed._passwords, is_strict=True)
    email = an_email("admin")
    with pytest.raises(WeakPassword):
        await strict.bootstrap(email, "admin")
    assert await users.find_by_email(email) is None
    await relaxed.bootstrap(email, "admin")
    assert await users.find_by_email(email) is not None


async def test_the_operator_of_the_settings_exists_at_start(
    service: Service, fresh_url: URL
) -> None:
    async with running(
        fresh_url, service.clock, admin_email="Root@Example.com", admin_password=PASSWORD
    ) as started:
        async with started.client() as client:
            answer = await login(client, "root@example.com", PASSWORD)
        assert answer.json()["user"]["is_operator"] is True


async def test_a_suspended_person_is_refused_at_once(
    service: Service, client: httpx.AsyncClient
) -> None:
    owner = await an_owner(service)
    users = service.services[UserService]
    assert (await me(service, owner.token)).status_code == 200
    await users.suspend(owner.user_id, "abuse")
    refused = await me(service, owner.token)
    assert refused.status_code == 403
    assert refused.json()["code"] == "account_suspended"
    assert (await login(client, owner.email, PASSWORD)).status_code == 403
    refreshed = await client.post(f"{AUTH}/refresh", json={"refresh_token": owner.refresh_token})
    assert refreshed.status_code == 403
    await users.restore(owner.user_id, "mistake")
    assert (await me(service, owner.token)).status_code == 200


async def test_one_address_cannot_try_one_password_on_everybody(limited: Service) -> None:
    async with limited.client() as client:
        answers = await asyncio.gather(
            *[login(client, an_email(), "a-popular-password") for _ in range(103)]
        )
    codes = [answer.status_code for answer in answers]
    assert (codes.count(401), codes.count(429)) == (100, 3)
