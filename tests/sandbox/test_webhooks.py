"""Signed delivery: exact bytes, at least once, until every endpoint has said yes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import stripe

from app.kernel.clock import ManualClock
from app.sandbox.app import create_sandbox, post
from app.sandbox.config import SandboxConfig
from app.sandbox.core import signing
from tests.sandbox.conftest import CATALOG, START, Account, Mailbox, running

HOOK = "https://shop.test/hook"


async def _deliver(account: Account) -> None:
    while await account.app.state.deliverer.deliver_due():
        pass


def test_the_signature_is_the_one_both_sdks_make() -> None:
    payload = '{"id":"evt_test","object":"event","type":"invoice.paid","amount":"é"}'
    header = signing.header(["whsec_test"], payload.encode(), 1700000000)
    assert header == stripe.WebhookSignature.generate_signature_header(
        payload, "whsec_test", 1700000000
    )
    assert header.endswith("356d3235937556887a056858a601c176ca83bb5d934a5b664ac4fa7ea93ead43")


async def test_an_event_arrives_signed_and_whole(account: Account) -> None:
    await account.control("webhook_endpoints", url=HOOK, secret="whsec_known")
    made = await account.stripe.v1.customers.create_async(
        {"name": "Zoë"}, {"idempotency_key": "org_1"}
    )
    await _deliver(account)
    [(url, body, headers)] = account.mailbox.received
    assert url == HOOK
    stripe.WebhookSignature.verify_header(
        body, headers["Stripe-Signature"], "whsec_known", tolerance=None
    )
    event = json.loads(body)
    assert (event["type"], event["data"]["object"]["name"]) == ("customer.created", "Zoë")
    assert event["api_version"] == "2026-10-28.endive"
    assert event["pending_webhooks"] == 1
    assert event["request"]["idempotency_key"] == "org_1"
    assert event["data"]["object"]["id"] == made.id
    fetched = await account.stripe.v1.events.retrieve_async(event["id"])
    assert fetched.pending_webhooks == 0


async def test_what_is_not_acknowledged_is_sent_again_byte_for_byte(account: Account) -> None:
    await account.control("webhook_endpoints", url=HOOK, secret="whsec_known")
    account.mailbox.answers = [500, 302]
    await account.stripe.v1.customers.create_async({"name": "x"})
    await _deliver(account)
    undelivered = await account.stripe.v1.events.list_async({"delivery_success": False})
    assert [event.type for event in undelivered.data] == ["customer.created"]
    assert undelivered.data[0].pending_webhooks == 1
    for seconds in (1, 2):
        account.clock.advance(seconds=seconds - 0.5)
        await _deliver(account)
        account.clock.advance(seconds=0.5)
        await _deliver(account)
    bodies = [body for _, body, _ in account.mailbox.received]
    assert len(bodies) == 3
    assert len(set(bodies)) == 1
    signatures = {headers["Stripe-Signature"] for _, _, headers in account.mailbox.received}
    assert len(signatures) == 3
    assert (await account.stripe.v1.events.list_async({"delivery_success": False})).data == []
    assert len((await account.stripe.v1.events.list_async({"delivery_success": True})).data) == 1


async def test_after_the_last_attempt_it_has_failed_and_can_be_sent_anew() -> None:
    async with running(delivery_delays=(1, 1)) as account:
        await account.control("webhook_endpoints", url=HOOK, secret="whsec_known")
        account.mailbox.answers = [500] * 3
        await account.stripe.v1.customers.create_async({"name": "x"})
        for _ in range(5):
            await _deliver(account)
            account.clock.advance(seconds=5)
        [delivery] = (await account.http.get("/_sandbox/deliveries")).json()["data"]
        assert (delivery["state"], delivery["attempts"], delivery["last_status"]) == (
            "failed",
            3,
            500,
        )
        await account.control(f"redeliver/{delivery['event']}")
        await _deliver(account)
        [delivery] = (await account.http.get("/_sandbox/deliveries")).json()["data"]
        assert delivery["state"] == "delivered"


async def test_it_can_be_called_in_process(tmp_path: Path) -> None:
    clock, sent = ManualClock(START), Mailbox()
    config = SandboxConfig(database=str(tmp_path / "sandbox.db"))
    app = create_sandbox(config, clock, sent)
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": "Bearer sk_test_sandbox"}
    async with httpx.AsyncClient(transport=transport, base_url=config.base_url) as http:
        await http.post("/_sandbox/webhook_endpoints", json={"url": HOOK, "secret": "whsec_a"})
        await http.post("/v1/customers", data={"name": "x"}, headers=headers)
    assert await app.state.deliverer.deliver_due() == 1
    assert len(sent.received) == 1
    app.state.sandbox.store.close()


async def test_a_served_sandbox_delivers_by_itself() -> None:
    sent = Mailbox()
    app = create_sandbox(SandboxConfig(), None, sent)
    headers = {"Authorization": "Bearer sk_test_sandbox"}
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://sandbox") as http,
    ):
        await http.post("/_sandbox/webhook_endpoints", json={"url": HOOK, "secret": "whsec_a"})
        await http.post("/v1/customers", data={"name": "x"}, headers=headers)
        async with asyncio.timeout(10):
            while not sent.received:
                await asyncio.sleep(0.01)


async def test_the_wire_carries_the_signed_bytes_and_follows_no_redirect() -> None:
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        seen.append(head + await reader.readexactly(length))
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    body = json.dumps({"name": "Zoë"}, ensure_ascii=False).encode()
    status = await post(f"http://127.0.0.1:{port}/hook", body, {"Stripe-Signature": "t=1,v1=a"})
    server.close()
    await server.wait_closed()
    assert status == 302
    [request] = seen
    assert request.startswith(b"POST /hook ")
    assert b"t=1,v1=a" in request
    assert request.endswith(body)


async def test_endpoints_get_what_they_asked_for(account: Account) -> None:
    v1 = account.stripe.v1
    picky = await v1.webhook_endpoints.create_async(
        {"url": "https://a.test/", "enabled_events": ["invoice.paid"]}
    )
    assert str(picky.secret).startswith("whsec_")
    assert "secret" not in await v1.webhook_endpoints.retrieve_async(picky.id)
    off = await v1.webhook_endpoints.create_async(
        {"url": "https://b.test/", "enabled_events": ["*"]}
    )
    await v1.webhook_endpoints.update_async(off.id, {"disabled": True})
    gone = await v1.webhook_endpoints.create_async(
        {"url": "https://c.test/", "enabled_events": ["*"]}
    )
    await v1.webhook_endpoints.delete_async(gone.id)
    await account.subscription()
    await _deliver(account)
    assert [url for url, _, _ in account.mailbox.received] == ["https://a.test/"]
    assert len((await v1.webhook_endpoints.list_async()).data) == 2


async def test_asking_for_the_same_endpoint_twice_makes_one(account: Account) -> None:
    first = await account.control("webhook_endpoints", url=HOOK, secret="whsec_a")
    second = await account.control("webhook_endpoints", url=HOOK, secret="whsec_b")
    assert first["id"] == second["id"]
    assert "_secret" not in second
    await account.stripe.v1.customers.create_async({"name": "x"})
    await _deliver(account)
    [(_, body, headers)] = account.mailbox.received
    stripe.WebhookSignature.verify_header(body, headers["Stripe-Signature"], "whsec_b")


async def test_an_event_whose_change_was_taken_back_never_was(account: Account) -> None:
    await account.control("webhook_endpoints", url=HOOK, secret="whsec_known")
    customer = await account.customer(card="pm_card_chargeCustomerFail")
    await _deliver(account)
    before = len(account.mailbox.received)
    with pytest.raises(stripe.CardError):
        await account.subscription(customer=customer.id, payment_behavior="error_if_incomplete")
    await _deliver(account)
    assert len(account.mailbox.received) == before


async def test_deliveries_go_on_after_a_restart(tmp_path: Path) -> None:
    database = str(tmp_path / "sandbox.db")
    clock = ManualClock(START)
    async with running(database, clock) as account:
        await account.control("seed", **CATALOG)
        await account.control("webhook_endpoints", url=HOOK, secret="whsec_known")
        account.mailbox.answers = [503]
        customer = await account.stripe.v1.customers.create_async({"name": "x"})
        await _deliver(account)
    async with running(database, clock) as account:
        clock.advance(seconds=1)
        await _deliver(account)
        [(_, body, _)] = account.mailbox.received
        assert json.loads(body)["data"]["object"]["id"] == customer.id
        assert (await account.stripe.v1.customers.retrieve_async(customer.id)).name == "x"


def _start(database: Path, ready: Path) -> subprocess.Popen[bytes]:
    ready.unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "app.sandbox", "--port", "0", "--db", str(database),
         "--ready-file", str(ready), "--exit-with-stdin"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not ready.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


@pytest.mark.slow
def test_what_was_answered_survives_kill_9(tmp_path: Path) -> None:
    database, ready = tmp_path / "deep" / "sandbox.db", tmp_path / "ready"
    headers = {"Authorization": "Bearer sk_test_sandbox"}
    answered: set[str] = set()
    for _ in range(3):
        process = _start(database, ready)
        try:
            with httpx.Client(base_url=ready.read_text(), headers=headers) as http:
                for _ in range(20):
                    answered.add(http.post("/v1/customers", data={"name": "x"}).json()["id"])
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            assert process.stdin is not None
            process.stdin.close()
    process = _start(database, ready)
    with httpx.Client(base_url=ready.read_text(), headers=headers) as http:
        kept = http.get("/v1/customers", params={"limit": 100}).json()["data"]
    assert {customer["id"] for customer in kept} == answered
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(10) == 0
