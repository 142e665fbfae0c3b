"""Organizations' own endpoints: signed, in order, until taken, and off when they never are."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args, get_type_hints
from uuid import UUID

import pytest
from sqlalchemy import URL, text

from app.gateways.hooks.gateway import Answer, HookUnavailable
from app.gateways.hooks.memory import MemoryHooks, Posted
from app.infra.security.secret import SigningSecret
from app.kernel.clock import ManualClock
from app.kernel.facts import Fact
from app.kernel.ids import OrganizationId, decode_id, encode_id, new_id
from app.notifications.domain import LEASE, HookEvent
from app.notifications.endpoints import ENDPOINT_RETRIES, KEPT, message
from app.notifications.kinds import RULES, job_of
from app.notifications.service.endpoints import EndpointService, SecretBox
from app.notifications.service.posting import Posting
from app.notifications.standard_webhooks import headers
from app.payments.events import DisputeClosed, DisputeOpened, RefundMade
from app.subscribers import SUBSCRIPTIONS
from app.subscriptions.events import PaymentMethodExpiring
from tests.conftest import START
from tests.factories.people import Owner, an_owner
from tests.features.notifications.conftest import Hooked
from tests.support.listener import listening, respond
from tests.support.service import Service, running

PATH = "/api/v1/notifications/endpoints"
NO = Answer(500, "not now")


def verified(posted: Posted | Mapping[str, str], body: bytes, *secrets: str) -> list[bool]:
    """Which of the secrets the message is signed with, worked out after the specification:
    https://www.standardwebhooks.com, without our code."""
    sent = {
        name.lower(): value
        for name, value in (posted.headers if isinstance(posted, Posted) else posted).items()
    }
    signatures = sent["webhook-signature"].split(" ")
    assert all(signature.startswith("v1,") for signature in signatures)
    content = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.".encode() + body
    return [
        "v1,"
        + base64.b64encode(
            hmac.new(
                base64.b64decode(secret.removeprefix("whsec_")), content, hashlib.sha256
            ).digest()
        ).decode()
        in signatures
        for secret in secrets
    ]


def test_the_example_of_the_specification_has_its_signature() -> None:
    """The vector that the reference libraries are tested with."""
    from datetime import UTC, datetime

    made = headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        datetime.fromtimestamp(1614265330, UTC),
        b'{"test": 2432232314}',
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert made == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


async def an_endpoint(owner: Owner, **changes: Any) -> dict[str, Any]:
    url = f"https://{new_id().hex}.example.com/hook"
    answer = await owner.client.post(PATH, json={"url": url, **changes})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def signed_in_again(service: Service, owner: Owner) -> Owner:
    """The same person days later, when their token has run out."""
    answer = await service.client().post(
        "/api/v1/auth/login", json={"email": owner.email, "password": owner.password}
    )
    return replace(owner, client=service.client(answer.json()["access_token"]))


async def happen(service: Service, fact: Fact) -> None:
    async with service.work.begin(OrganizationId(fact.organization_id)):  # type: ignore[attr-defined]
        service.work.announce(fact)
    await service.drain()


def refund(owner: Owner) -> RefundMade:
    return RefundMade(owner.organization_id, new_id(), 5000, "usd")


def told(hooks: MemoryHooks, url: str) -> list[dict[str, Any]]:
    return [json.loads(each.body) for each in hooks.posted if each.url == url]


def test_every_id_of_ours_that_is_told_has_its_prefix() -> None:
    jobs = {job_of(kind) for kind, rule in RULES.items() if rule.event is not None}
    facts = [fact for fact, woken in SUBSCRIPTIONS.items() if jobs.intersection(woken)]
    given: dict[str, object] = {
        name: str(new_id())
        for fact in facts
        for name, kind in get_type_hints(fact).items()
        if UUID in (kind, *get_args(kind))
    }
    assert {"top_up_id", "invoice_id", "organization_id"} <= set(given)
    body = message(OrganizationId(new_id()), HookEvent.PING, given, START)
    for name, value in json.loads(body)["data"].items():
        assert value.startswith(("org_", "top_", "inv_", "ref_", "dsp_", "crd_", "bal_")), name


async def deliveries(owner: Owner, endpoint: Mapping[str, Any]) -> list[dict[str, Any]]:
    answer = await owner.client.get(f"{PATH}/{endpoint['id']}/deliveries")
    assert answer.status_code == 200, answer.text
    return list(reversed(answer.json()["data"]))


async def test_what_happens_is_sent_signed_and_once(hooked: Hooked) -> None:
    owner = await an_owner(hooked.service)
    endpoint = await an_endpoint(owner)
    assert endpoint["secret"].startswith("whsec_")
    assert len(base64.b64decode(endpoint["secret"][6:])) == 32
    fact = refund(owner)
    for _ in range(3):
        await happen(hooked.service, fact)
    (posted,) = hooked.hooks.posted
    assert verified(posted, posted.body, endpoint["secret"], "whsec_AAAA") == [True, False]
    assert posted.headers["webhook-timestamp"] == str(int(START.timestamp()))
    body = json.loads(posted.body)
    assert body["type"] == "refund.made"
    assert body["timestamp"] == "2026-11-21T09:00:00Z"
    assert body["data"].pop("refund_id").startswith("ref_")
    assert body["data"] == {"organization_id": owner.id, "amount": 5000, "currency": "usd"}
    (delivery,) = await deliveries(owner, endpoint)
    assert delivery["id"] == posted.headers["webhook-id"]
    assert (delivery["state"], delivery["attempts"]) == ("sent", 1)
    assert delivery["last_attempts"][0]["status"] == 200
    assert delivery["body"] == posted.body.decode()


async def test_a_secret_is_shown_once_and_nowhere_else(hooked: Hooked) -> None:
    owner = await an_owner(hooked.service)
    endpoint = await an_endpoint(owner)
    one = await owner.client.get(f"{PATH}/{endpoint['id']}")
    listed = await owner.client.get(PATH)
    changed = await owner.client.patch(f"{PATH}/{endpoint['id']}", json={"description": "x"})
    for answer in (one, listed, changed):
        assert answer.status_code == 200
        assert "whsec" not in answer.text
    async with hooked.service.work.begin_platform() as session:
        rows = await session.execute(
            text(
                "select secret::text from webhook_endpoints where organization_id = :id"
                " union all select after::text from audit_entries where organization_id = :id"
            ),
            {"id": owner.organization_id},
        )
        kept = " ".join(str(row[0]) for row in rows)
    raw = endpoint["secret"].removeprefix("whsec_")
    assert raw not in kept
    assert base64.b64decode(raw).hex() not in kept


async def test_an_endpoint_hears_what_it_asked_for(hooked: Hooked) -> None:
    owner, other = await an_owner(hooked.service), await an_owner(hooked.service)
    everything = await an_endpoint(owner)
    disputes = await an_endpoint(owner, events=["dispute.closed"])
    foreign = await an_endpoint(other)
    await happen(hooked.service, refund(owner))
    await happen(hooked.service, DisputeClosed(owner.organization_id, new_id(), "won"))
    assert [each["type"] for each in told(hooked.hooks, everything["url"])] == [
        "refund.made",
        "dispute.closed",
    ]
    assert [each["type"] for each in told(hooked.hooks, disputes["url"])] == ["dispute.closed"]
    assert told(hooked.hooks, foreign["url"]) == []


async def test_a_later_message_waits_for_the_earlier_and_other_endpoints_do_not(
    hooked: Hooked,
) -> None:
    owner = await an_owner(hooked.service)
    slow, well = await an_endpoint(owner), await an_endpoint(owner)
    facts = [refund(owner) for _ in range(3)]
    # The first two calls are those of the first message: one to each endpoint, in their order.
    hooked.hooks.answers = [NO]
    for fact in facts:
        await happen(hooked.service, fact)
    failing = slow if len(told(hooked.hooks, slow["url"])) == 1 else well
    other = well if failing is slow else slow
    assert len(told(hooked.hooks, failing["url"])) == 1
    assert len(told(hooked.hooks, other["url"])) == 3
    hooked.service.clock.advance(ENDPOINT_RETRIES[0])
    await hooked.service.drain()
    heard = told(hooked.hooks, failing["url"])
    assert heard == [heard[0], *told(hooked.hooks, other["url"])]
    assert [each["attempts"] for each in await deliveries(owner, failing)] == [2, 1, 1]


async def test_two_workers_tell_in_the_order_in_which_it_happened(hooked: Hooked) -> None:
    """Jobs run side by side and end in any order; what happened did not."""
    owner = await an_owner(hooked.service)
    endpoint = await an_endpoint(owner)
    facts = [refund(owner) for _ in range(16)]
    for fact in facts:
        async with hooked.service.work.begin(OrganizationId(owner.organization_id)):
            hooked.service.work.announce(fact)
    await asyncio.gather(hooked.service.drain(), hooked.service.drain())
    await hooked.service.drain()
    assert [each["data"]["refund_id"] for each in told(hooked.hooks, endpoint["url"])] == [
        encode_id("ref", fact.refund_id) for fact in facts
    ]


async def test_what_was_rolled_back_is_told_to_nobody(hooked: Hooked) -> None:
    owner = await an_owner(hooked.service)
    endpoint = await an_endpoint(owner)
    with pytest.raises(ZeroDivisionError):
        async with hooked.service.work.begin(OrganizationId(owner.organization_id)):
            hooked.service.work.announce(refund(owner))
            raise ZeroDivisionError
    await hooked.service.drain()
    assert await deliveries(owner, endpoint) == []


async def test_an_inquiry_that_becomes_a_dispute_is_told_as_both_and_each_once(
    hooked: Hooked,
) -> None:
    owner = await an_owner(hooked.service)
    endpoint = await an_endpoint(owner)
    asked = DisputeOpened(owner.organization_id, new_id(), 5000, "usd", "fraudulent", True)
    for fact in (asked, asked, replace(asked, is_inquiry=False), replace(asked, is_inquiry=False)):
        await happen(hooked.service, fact)
    for _ in range(2):
        await happen(hooked.service, DisputeClosed(owner.organization_id, asked.dispute_id, "won"))
    heard = told(hooked.hooks, endpoint["url"])
    assert [(each["type"], each["data"].get("is_inquiry")) for each in heard] == [
        ("dispute.opened", True),
        ("dispute.opened", False),
        ("dispute.closed", None),
    ]
    subjects = [mail.subject for mail in hooked.service.mail.to(owner.email)]
    assert len([each for each in subjects if ": a bank " in each]) == 2, subjects


def test_whatever_an_endpoint_may_ask_for_is_told_some_day() -> None:
    assert {rule.event for rule in RULES.values()} - {None} == set(HookEvent) - {HookEvent.PING}


async def test_endpoints_hear_of_cards_that_expire(hooked: Hooked) -> None:
    owner = await an_owner(hooked.service)
    endpoint = await an_endpoint(owner, events=["payment_method.expiring"])
    fact = PaymentMethodExpiring(owner.organization_id, "visa", "4242", 12, 2026)
    for _ in range(2):
        await happen(hooked.service, fact)
    assert len(told(hooked.hooks, endpoint["url"])) == 1


async def test_retries_have_the_same_id_and_body_and_their_own_time(hooked: Hooked) -> None:
    owner = await an_owner(hooked.service)
    endpoint = await an_endpoint(owner)
    hooked.hooks.answers = [NO, HookUnavailable(reason="ConnectError")]
    await happen(hooked.service, refund(owner))
    (delivery,) = await deliveries(owner, endpoint)
    assert delivery["state"] == "pending"
    assert delivery["next_attempt_at"] == "2026-11-21T09:00:05Z"
    for wait in ENDPOINT_RETRIES[:2]:
        hooked.service.clock.advance(wait)
        await hooked.service.drain()
    first, second, third = hooked.hooks.posted
    assert len({each.headers["webhook-id"] for each in (first, second, third)}) == 1
    assert len({each.body for each in (first, second, third)}) == 1
    assert len({each.headers["webhook-timestamp"] for each in (first, second, third)}) == 3
    for each in (first, second, third):
        assert verified(each, each.body, endpoint["secret"]) == [True]
    (delivery,) = await deliveries(owner, endpoint)
    assert [(each["status"], each["error"]) for each in delivery["last_attempts"]] == [
        (500, None),
        (None, "ConnectError"),
        (200, None),
    ]


async def test_after_days_of_failures_the_endpoint_is_off_and_its_people_hear_of_it(
    hooked: Hooked,
) -> None:
    owner = await an_owner(hooked.service)
    endpoint = await an_endpoint(owner)
    endpoints = hooked.service.services[EndpointService]
    of = (owner.organization_id, decode_id("whe", endpoint["id"]))
    hooked.hooks.answers = [NO] * (len(ENDPOINT_RETRIES) + 1)
    await happen(hooked.service, refund(owner))
    await happen(hooked.service, refund(owner))
    for wait in ENDPOINT_RETRIES:
        assert (await endpoints.get(*of)).is_enabled
        hooked.service.clock.advance(wait)
        await hooked.service.drain()
    await hooked.service.drain()
    owner = await signed_in_again(hooked.service, owner)
    off = (await owner.client.get(f"{PATH}/{endpoint['id']}")).json()
    assert (off["is_enabled"], off["disabled_reason"]) == (False, "HTTP 500")
    assert [each["state"] for each in await deliveries(owner, endpoint)] == ["failed", "pending"]
    (mail,) = [
        mail for mail in hooked.service.mail.to(owner.email) if "was switched off" in mail.subject
    ]
    assert endpoint["id"] in mail.text
    calls = len(hooked.hooks.posted)
    await happen(hooked.service, refund(owner))
    assert len(hooked.hooks.posted) == calls
    refused = await owner.client.post(f"{PATH}/{endpoint['id']}/ping")
    assert (refused.status_code, refused.json()["code"]) == (409, "endpoint_off")

    on = await owner.client.patch(f"{PATH}/{endpoint['id']}", json={"is_enabled": True})
    assert (on.json()["disabled_at"], on.json()["failing_since"]) == (None, None)
    await hooked.service.drain()
    assert [each["state"] for each in await deliveries(owner, endpoint)] == ["failed", "sent"]


async def test_gone_is_for_good(hooked: Hooked) -> None:
    owner = await an_owner(hooked.service)
    endpoint = await an_endpoint(owner)
    hooked.hooks.answers = [Answer(410, "")]
    await happen(hooked.service, refund(owner))
    off = (await owner.client.get(f"{PATH}/{endpoint['id']}")).json()
    assert (off["is_enabled"], off["disabled_reason"]) == (False, "HTTP 410")


async def test_while_a_secret_is_replaced_both_are_good(hooked: Hooked) -> None:
    owner = await an_owner(hooked.service)
    endpoint = await an_endpoint(owner)
    rotated = await owner.client.post(f"{PATH}/{endpoint['id']}/rotate", json={"overlap_hours": 2})
    assert rotated.status_code == 200, rotated.text
    old, new = endpoint["secret"], rotated.json()["secret"]
    assert old != new
    await happen(hooked.service, refund(owner))
    hooked.service.clock.advance(hours=2)
    await happen(hooked.service, refund(owner))
    during, after = hooked.hooks.posted
    assert verified(during, during.body, old, new) == [True, True]
    assert verified(after, after.body, old, new) == [False, True]
    at_once = await owner.client.post(f"{PATH}/{endpoint['id']}/rotate", json={"overlap_hours": 0})
    await happen(hooked.service, refund(owner))
    last = hooked.hooks.posted[-1]
    assert verified(last, last.body, new, at_once.json()["secret"]) == [False, True]


async def test_a_secret_that_cannot_be_read_any_more_is_named_and_replaced(
    hooked: Hooked,
) -> None:
    owner = await an_owner(hooked.service)
    endpoint = await an_endpoint(owner)
    foreign = SecretBox(SigningSecret(b"another deployment's secret")).close("whsec_AAAA")
    async with hooked.service.work.begin_platform() as session:
        await session.execute(
            text("update webhook_endpoints set secret = :secret where organization_id = :id"),
            {"secret": foreign, "id": owner.organization_id},
        )
    await happen(hooked.service, refund(owner))
    assert hooked.hooks.posted == []
    (delivery,) = await deliveries(owner, endpoint)
    assert "rotate" in delivery["last_attempts"][0]["error"]
    rotated = await owner.client.post(f"{PATH}/{endpoint['id']}/rotate", json={})
    hooked.service.clock.advance(ENDPOINT_RETRIES[0])
    await hooked.service.drain()
    (posted,) = hooked.hooks.posted
    assert verified(posted, posted.body, rotated.json()["secret"]) == [True]


async def test_a_ping_and_a_message_sent_again(hooked: Hooked) -> None:
    owner = await an_owner(hooked.service)
    endpoint = await an_endpoint(owner, events=["invoice.paid"])
    ping = await owner.client.post(f"{PATH}/{endpoint['id']}/ping")
    assert (ping.status_code, ping.json()["state"]) == (202, "pending")
    assert hooked.hooks.posted == []
    await hooked.service.drain()
    assert [each["type"] for each in told(hooked.hooks, endpoint["url"])] == ["endpoint.ping"]
    again = await owner.client.post(
        f"{PATH}/{endpoint['id']}/deliveries/{ping.json()['id']}/resend"
    )
    assert (again.status_code, again.json()["state"]) == (202, "pending")
    await hooked.service.drain()
    first, second = hooked.hooks.posted
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    one = await owner.client.get(f"{PATH}/{endpoint['id']}/deliveries/{ping.json()['id']}")
    assert len(one.json()["last_attempts"]) == 2


async def test_only_owners_and_admins_see_endpoints_and_addresses_are_looked_at(
    service: Service,
) -> None:
    owner = await an_owner(service, plan="professional")
    key = await owner.client.post(
        "/api/v1/auth/api-keys", json={"name": "reads", "scopes": ["usage.read"]}
    )
    async with service.client(**{"X-API-Key": key.json()["key"]}) as caller:
        assert (await caller.get(PATH)).status_code == 403
    for url in ("https://127.0.0.1/", "https://10.0.0.7/", "ftp://example.com/", "https://a b/"):
        refused = await owner.client.post(PATH, json={"url": url})
        assert refused.status_code == 422, url
        assert refused.json()["code"] == "address_refused"
    made = await owner.client.post(PATH, json={"url": "https://example.com/hook"})
    moved = await owner.client.patch(f"{PATH}/{made.json()['id']}", json={"url": "https://[::1]/"})
    assert moved.status_code == 422
    twice = await owner.client.post(
        PATH, json={"url": "https://example.com/", "events": ["invoice.paid", "invoice.paid"]}
    )
    assert twice.status_code == 422


async def test_there_are_only_so_many_endpoints(hooked: Hooked) -> None:
    owner = await an_owner(hooked.service)
    answers = await asyncio.gather(
        *(
            owner.client.post(PATH, json={"url": f"https://example.com/{number}"})
            for number in range(25)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201] * 20 + [409] * 5


async def test_every_change_is_in_the_audit_trail(hooked: Hooked) -> None:
    owner = await an_owner(hooked.service)
    endpoint = await an_endpoint(owner)
    await owner.client.patch(f"{PATH}/{endpoint['id']}", json={"is_enabled": False})
    await owner.client.post(f"{PATH}/{endpoint['id']}/rotate", json={})
    assert (await owner.client.delete(f"{PATH}/{endpoint['id']}")).status_code == 204
    assert (await owner.client.get(f"{PATH}/{endpoint['id']}")).status_code == 404
    async with hooked.service.work.begin_platform() as session:
        actions = await session.scalars(
            text(
                "select action from audit_entries where organization_id = :id"
                " and action like 'webhook_endpoints.%' order by id"
            ),
            {"id": owner.organization_id},
        )
        assert actions.all() == [
            f"webhook_endpoints.{what}"
            for what in ("created", "changed", "secret_rotated", "deleted")
        ]


async def test_two_workers_send_a_message_once_and_in_order(hooked: Hooked) -> None:
    owner = await an_owner(hooked.service)
    endpoint = await an_endpoint(owner)
    await queue(hooked, owner, 10)
    posting = hooked.service.services[Posting]
    hooks: Any = hooked.hooks
    slow = hooks.post

    async def post(url: str, body: bytes, sent: Mapping[str, str]) -> Answer:
        await asyncio.sleep(0.01)
        answer: Answer = await slow(url, body, sent)
        return answer

    hooks.post = post
    try:
        await asyncio.gather(
            *(
                posting.work_off(owner.organization_id, decode_id("whe", endpoint["id"]))
                for _ in range(4)
            )
        )
    finally:
        del hooks.post
    sent = [each.headers["webhook-id"] for each in hooked.hooks.posted]
    assert sent == [each["id"] for each in await deliveries(owner, endpoint)]
    assert len(set(sent)) == 10


async def queue(hooked: Hooked, owner: Owner, count: int) -> None:
    """Messages that wait, without anybody having been sent for."""
    endpoints = hooked.service.services[EndpointService]
    for number in range(count):
        await endpoints.announce(
            owner.organization_id,
            HookEvent.REFUND_MADE,
            f"refund_made:{number}",
            {"number": number},
            hooked.service.clock.now(),
        )


class Died(BaseException):
    """The process is gone."""


async def test_what_a_dead_worker_held_is_sent_by_another_after_the_lease(hooked: Hooked) -> None:
    owner = await an_owner(hooked.service)
    endpoint = await an_endpoint(owner)
    await queue(hooked, owner, 2)
    posting = hooked.service.services[Posting]
    of = (owner.organization_id, decode_id("whe", endpoint["id"]))

    hooks: Any = hooked.hooks

    async def dying(url: str, body: bytes, sent: Mapping[str, str]) -> Answer:
        raise Died

    hooks.post = dying
    with pytest.raises(Died):
        await posting.work_off(*of)
    del hooks.post
    await posting.work_off(*of)
    assert hooked.hooks.posted == []
    hooked.service.clock.advance(LEASE)
    await posting.work_off(*of)
    assert [each["data"]["number"] for each in told(hooked.hooks, endpoint["url"])] == [0, 1]


async def test_what_nobody_came_for_is_swept_up_and_old_ones_are_forgotten(
    hooked: Hooked,
) -> None:
    owner = await an_owner(hooked.service)
    endpoint = await an_endpoint(owner)
    await queue(hooked, owner, 1)
    posting = hooked.service.services[Posting]
    async with hooked.service.work.begin_platform() as session:
        await session.execute(text("delete from pgqueuer"))
    hooked.service.clock.advance(minutes=6)
    assert await posting.sweep() >= 1
    await hooked.service.drain()
    assert len(told(hooked.hooks, endpoint["url"])) == 1
    hooked.service.clock.advance(KEPT)
    await posting.forget()
    owner = await signed_in_again(hooked.service, owner)
    assert len(await deliveries(owner, endpoint)) == 1
    hooked.service.clock.advance(minutes=1)
    await posting.forget()
    assert await deliveries(owner, endpoint) == []


async def test_more_than_a_job_sends_at_once_is_sent_in_turns(hooked: Hooked) -> None:
    owner = await an_owner(hooked.service)
    endpoint = await an_endpoint(owner)
    await queue(hooked, owner, 45)
    await hooked.service.drain()
    assert [each["data"]["number"] for each in told(hooked.hooks, endpoint["url"])] == list(
        range(45)
    )


async def test_over_real_http_with_redirects_and_failures(fresh_url: URL) -> None:
    clock = ManualClock(START)
    async with listening() as server, running(fresh_url, clock, private_endpoints=True) as service:
        owner = await an_owner(service)
        url = f"http://127.0.0.1:{server.port}/hook?a=b"
        made = await owner.client.post(PATH, json={"url": url})
        assert made.status_code == 201, made.text
        server.answers = [respond(302, location="http://127.0.0.1:1/"), None]
        await happen(service, refund(owner))
        for wait in ENDPOINT_RETRIES[:2]:
            clock.advance(wait)
            await service.drain()
        (delivery,) = await deliveries(owner, made.json())
    assert [each.target for each in server.heard] == ["/hook?a=b"] * 3
    for heard in server.heard:
        assert verified(heard.headers, heard.body, made.json()["secret"]) == [True]
        assert heard.headers["content-type"] == "application/json"
    assert [each["status"] for each in delivery["last_attempts"]] == [302, None, 200]
    assert delivery["last_attempts"][2]["excerpt"] == "ok"
