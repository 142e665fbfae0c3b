"""What Stripe could not tell us is found, repaired and reported by kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import URL, text

from app.kernel.clock import ManualClock
from app.reconciliation.service import ReconciliationService
from tests.factories.operators import an_operator
from tests.factories.people import an_owner
from tests.factories.subscriptions import ask, call, checkout, subscribed, subscription
from tests.support.stripe_account import Shop, a_shop


@pytest.fixture
async def shop(fresh_url: URL, clock: ManualClock) -> AsyncIterator[Shop]:
    async with a_shop(fresh_url, clock) as shop:
        yield shop


async def looked(shop: Shop, **how: Any) -> dict[str, int]:
    """Compare now, and let what follows from it be done; the differences by kind."""
    report = await shop.service.services[ReconciliationService].reconcile("schedule", **how)
    assert report.error is None
    await shop.service.drain()
    return dict(report.by_kind)


async def lose(shop: Shop) -> int:
    """Whatever Stripe has sent since never arrives."""
    return len(await shop.account.collect())


async def test_a_purchase_nobody_told_of_is_found(shop: Shop) -> None:
    owner = await an_owner(shop.service)
    page = await checkout(owner, "professional")
    await shop.account.click(page["url"])
    assert await lose(shop) > 5
    assert (await subscription(owner))["tier"] == "free"
    assert await looked(shop) == {"invoice_missing": 1, "subscription_missing": 1}
    assert (await subscription(owner))["tier"] == "professional"
    [period] = await shop.rows("select count(*) as n from paid_periods")
    assert period["n"] == 1
    assert await looked(shop) == {}, "the second look finds nothing"
    [period] = await shop.rows("select count(*) as n from paid_periods")
    assert period["n"] == 1


async def test_every_kind_of_lost_change_is_repaired(shop: Shop) -> None:
    owner = await subscribed(shop)
    assert await looked(shop) == {}

    [bought] = shop.account.find("subscription")
    assert (await ask(owner, "cancel")).status_code == 200
    await shop.deliver()
    async with shop.service.work.begin_platform() as session:
        await session.execute(
            text("update subscriptions set cancel_at_period_end = false, cancel_at = null")
        )
    assert await looked(shop) == {"subscription_end": 1}
    assert (await subscription(owner))["cancel_at_period_end"] is True
    await ask(owner, "resume")
    await shop.deliver()

    shop.clock.advance(days=32)
    await shop.account.control("clock/advance", seconds=0)
    await lose(shop)
    found = await looked(shop)
    assert found == {"invoice_missing": 1, "subscription_period": 1}
    [held] = await shop.rows("select period_end, window_end from subscriptions")
    [truth] = shop.account.find("subscription", id=bought["id"])
    end = truth["items"]["data"][0]["current_period_end"]
    assert int(held["period_end"].timestamp()) == int(held["window_end"].timestamp()) == end

    async with shop.service.work.begin_platform() as session:
        await session.execute(text("update invoices set status = 'open' where status = 'paid'"))
        await session.execute(text("update subscriptions set status = 'past_due'"))
    assert await looked(shop) == {"invoice_status": 2, "subscription_status": 1}
    assert await looked(shop) == {}


async def test_credit_notes_nobody_told_of_are_found(shop: Shop) -> None:
    owner = await subscribed(shop, "professional")
    (invoice,) = (await call(owner, "GET", "invoices")).json()["data"]
    made = await shop.account.http.post(
        "/v1/credit_notes",
        data={"invoice": invoice["stripe_invoice_id"], "amount": 500, "out_of_band_amount": 500},
        headers={"Authorization": "Bearer sk_test_sandbox"},
    )
    assert made.status_code == 200, made.text
    await lose(shop)
    assert await looked(shop) == {"invoice_amounts": 1}
    (after,) = (await call(owner, "GET", "invoices")).json()["data"]
    assert [note["number"] for note in after["credit_notes"]] == [made.json()["number"]]
    assert await looked(shop) == {}


async def test_undelivered_events_are_taken_into_the_inbox(shop: Shop) -> None:
    owner = await an_owner(shop.service)
    page = await checkout(owner, "professional")

    async def refuse(url: str, body: bytes, headers: dict[str, str]) -> int:
        return 500

    deliverer = shop.account.app.state.deliverer
    accept, deliverer._send = deliverer._send, refuse
    await shop.account.click(page["url"])
    await shop.account.collect()
    deliverer._send = accept
    before = await shop.rows("select event_id from stripe_events")
    found = await looked(shop, customers=1)
    assert found["event_undelivered"] > 5
    after = await shop.rows("select state from stripe_events")
    assert len(after) == len(before) + found["event_undelivered"]
    assert {row["state"] for row in after} <= {"handled", "ignored"}
    assert (await subscription(owner))["tier"] == "professional"
    assert "event_undelivered" not in await looked(shop), "what is kept is no news"


async def test_a_run_goes_on_where_the_last_one_ended(shop: Shop) -> None:
    owners = [await subscribed(shop, "starter") for _ in range(3)]
    assert len(owners) == 3
    service = shop.service.services[ReconciliationService]
    rounds = [await service.reconcile("schedule", customers=2) for _ in range(3)]
    assert [report.customers for report in rounds] == [2, 1, 2]
    assert [report.is_round_complete for report in rounds] == [False, True, False]


async def test_stripe_away_in_the_middle_is_said_and_made_up_for(shop: Shop) -> None:
    owner = await subscribed(shop)
    async with shop.service.work.begin_platform() as session:
        await session.execute(text("update subscriptions set status = 'past_due'"))
    await shop.account.control("faults", kind="server_error", count=50, path="/v1/subscriptions")
    service = shop.service.services[ReconciliationService]
    report = await service.reconcile("schedule")
    assert (report.error, dict(report.by_kind)) == ("StripeUnavailable", {})
    await shop.account.http.delete("/_sandbox/faults")
    assert await looked(shop) == {"subscription_status": 1}
    assert (await subscription(owner))["status"] == "active"


async def test_operators_run_it_and_read_what_was_found(shop: Shop) -> None:
    owner = await subscribed(shop)
    async with shop.service.work.begin_platform() as session:
        await session.execute(text("update subscriptions set status = 'past_due'"))
    operator = await an_operator(shop.service)
    client: httpx.AsyncClient = getattr(operator, "client", operator)
    answer = await client.post("/api/v1/admin/reconciliation")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["by_kind"] == {"subscription_status": 1}
    [difference] = body["differences"]
    assert (difference["ours"], difference["theirs"]) == ("past_due", "active")
    assert difference["is_repaired"] is True
    listed = (await client.get("/api/v1/admin/reconciliation")).json()["data"]
    assert [each["id"] for each in listed] == [body["id"]]
    assert (await owner.client.post("/api/v1/admin/reconciliation")).status_code == 403
