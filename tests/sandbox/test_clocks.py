"""Test clocks: customers whose time is moved by a test, beside an account that stands still."""

import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import CATALOG, START, Account, running

NOW = int(START.timestamp())
DAY, HOUR = 86_400, 3_600


async def test_a_clock_moves_its_own_customers_and_nobody_else(account: Account) -> None:
    v1 = account.stripe.v1
    clock, customer = await _on_a_clock(account, frozen_time=NOW + 100 * DAY)
    theirs = await account.subscription(customer=customer.id)
    ours = await account.subscription()
    assert theirs.test_clock == clock.id
    assert theirs.created == NOW + 100 * DAY
    end = theirs["items"].data[0].current_period_end
    moving = await v1.test_helpers.test_clocks.advance_async(clock.id, {"frozen_time": end})
    assert (moving.status, moving.frozen_time) == ("advancing", NOW + 100 * DAY)
    assert moving.status_details.advancing is not None
    assert moving.status_details.advancing.target_frozen_time == end
    there = await v1.test_helpers.test_clocks.retrieve_async(clock.id)
    assert (there.status, there.frozen_time) == ("ready", end)
    renewed = await v1.subscriptions.retrieve_async(theirs.id, {"expand": ["latest_invoice"]})
    assert renewed["items"].data[0].current_period_start == end
    draft: Any = renewed.latest_invoice
    assert (draft.status, draft.test_clock) == ("draft", clock.id)
    assert draft.automatically_finalizes_at == end + HOUR
    await _advance(account, clock.id, end + HOUR)
    assert (await v1.invoices.retrieve_async(draft.id)).status == "paid"
    still = await v1.subscriptions.retrieve_async(ours.id)
    assert still["items"].data[0].current_period_start == NOW
    assert (await account.http.get("/_sandbox/clock")).json()["now"] == NOW


async def test_the_accounts_time_does_not_move_a_clock(account: Account) -> None:
    v1 = account.stripe.v1
    clock, customer = await _on_a_clock(account)
    subscription = await account.subscription(customer=customer.id)
    await account.advance(days=90)
    same = await v1.subscriptions.retrieve_async(subscription.id)
    assert same["items"].data[0].current_period_start == NOW
    method = await v1.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
    changed = await v1.subscriptions.update_async(
        subscription.id, {"default_payment_method": method.id}
    )
    canceled = await v1.subscriptions.cancel_async(changed.id)
    assert canceled.ended_at == NOW
    assert (await v1.test_helpers.test_clocks.retrieve_async(clock.id)).frozen_time == NOW


async def test_events_are_dated_with_the_accounts_time(account: Account) -> None:
    clock, customer = await _on_a_clock(account)
    await account.subscription(customer=customer.id)
    await _advance(account, clock.id, NOW + 60 * DAY)
    created = {event["created"] for event in await account.events("invoice.paid")}
    assert created == {NOW}
    kinds = await account.event_types()
    assert [kind for kind in kinds if "test_clock" in kind] == [
        "test_helpers.test_clock.created",
        "test_helpers.test_clock.advancing",
        "test_helpers.test_clock.ready",
    ]


async def test_a_year_passes_in_seconds(account: Account) -> None:
    v1 = account.stripe.v1
    await v1.webhook_endpoints.create_async({"url": "https://a.test/", "enabled_events": ["*"]})
    clock, customer = await _on_a_clock(account)
    await account.subscription(customer=customer.id)
    began = time.perf_counter()
    await _advance(account, clock.id, NOW + 365 * DAY + 2 * HOUR)
    took = time.perf_counter() - began
    page = await v1.invoices.list_async({"customer": customer.id, "limit": 100})
    assert [invoice.status for invoice in page.data] == ["paid"] * 13
    assert took < 5


async def test_a_clock_goes_ahead_only_and_one_step_at_a_time(account: Account) -> None:
    v1 = account.stripe.v1
    clock, _ = await _on_a_clock(account)
    for wrong in (NOW, NOW - 1, NOW + 21 * 366 * DAY):
        with pytest.raises(stripe.InvalidRequestError):
            await v1.test_helpers.test_clocks.advance_async(clock.id, {"frozen_time": wrong})
    with pytest.raises(stripe.InvalidRequestError, match="No such test clock"):
        await v1.test_helpers.test_clocks.advance_async("clock_none", {"frozen_time": NOW + 1})
    with pytest.raises(stripe.InvalidRequestError, match="No such test clock"):
        await account.customer(test_clock="clock_none")


async def test_a_clock_takes_its_customers_along_when_it_goes(account: Account) -> None:
    v1 = account.stripe.v1
    clock, customer = await _on_a_clock(account)
    subscription = await account.subscription(customer=customer.id)
    gone = await v1.test_helpers.test_clocks.delete_async(clock.id)
    assert gone.deleted
    assert (await v1.customers.retrieve_async(customer.id)).deleted
    assert (await v1.subscriptions.retrieve_async(subscription.id)).status == "canceled"
    assert (await v1.test_helpers.test_clocks.list_async()).data == []
    assert (await account.http.get("/_sandbox/clock")).json()["next_due"] is None


async def test_who_lives_by_a_clock_is_listed_apart(account: Account) -> None:
    v1 = account.stripe.v1
    clock, customer = await _on_a_clock(account)
    theirs = await account.subscription(customer=customer.id)
    ours = await account.subscription()
    customers = await v1.customers.list_async()
    assert [one.id for one in customers.data] == [ours.customer]
    customers = await v1.customers.list_async({"test_clock": clock.id})
    assert [one.id for one in customers.data] == [customer.id]
    assert [one.id for one in (await v1.subscriptions.list_async()).data] == [ours.id]
    for params in ({"test_clock": clock.id}, {"customer": customer.id}):
        found = await v1.subscriptions.list_async(params)  # type: ignore[arg-type]
        assert [one.id for one in found.data] == [theirs.id]


async def test_a_checkout_begins_in_the_customers_time(account: Account) -> None:
    v1 = account.stripe.v1
    later = NOW + 50 * DAY
    _, customer = await _on_a_clock(account, frozen_time=later)
    session = await account.checkout(
        customer=customer.id, subscription_data={"trial_period_days": 14}
    )
    assert session.expires_at == later + DAY
    answer = await account.http.post(session.url, data={"action": "pay"})
    assert answer.status_code == 303
    found = (await v1.subscriptions.list_async({"customer": customer.id})).data[0]
    assert (found.trial_start, found.trial_end) == (later, later + 14 * DAY)


async def test_a_customer_without_a_past_can_be_put_on_a_clock(account: Account) -> None:
    v1 = account.stripe.v1
    fresh, old = await account.customer(), (await account.subscription()).customer
    clock = await v1.test_helpers.test_clocks.create_async(
        {"frozen_time": NOW, "customer": fresh.id}
    )
    assert (await v1.customers.retrieve_async(fresh.id)).test_clock == clock.id
    with pytest.raises(stripe.InvalidRequestError):
        await v1.test_helpers.test_clocks.create_async({"frozen_time": NOW, "customer": str(old)})


async def test_a_file_of_an_earlier_version_opens(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite3"
    with sqlite3.connect(path) as old:
        old.execute(
            "CREATE TABLE alarms (kind TEXT NOT NULL, id TEXT NOT NULL, due INTEGER NOT NULL, "
            "PRIMARY KEY (kind, id))"
        )
        old.execute("CREATE INDEX alarms_by_due ON alarms (due)")
    old.close()
    async with running(str(path)) as account:
        await account.control("seed", **CATALOG)
        await account.subscription()
        await account.advance(days=32)
        assert len(await account.events("invoice.paid")) == 2


async def _on_a_clock(account: Account, **fields: Any) -> tuple[Any, Any]:
    """A test clock, and a customer with a card who lives by it."""
    params: Any = {"frozen_time": NOW, **fields}
    clock = await account.stripe.v1.test_helpers.test_clocks.create_async(params)
    return clock, await account.customer(test_clock=clock.id)


async def _advance(account: Account, clock: str, to: int) -> None:
    clocks = account.stripe.v1.test_helpers.test_clocks
    await clocks.advance_async(clock, {"frozen_time": to})
    assert (await clocks.retrieve_async(clock)).status == "ready"


async def test_a_renewal_on_demand_moves_the_clock_of_its_customer(account: Account) -> None:
    clock, customer = await _on_a_clock(account)
    subscription = await account.subscription(customer=customer.id)
    await account.subscription()
    done = await account.control(f"renew/{subscription.id}")
    assert (done["invoice"]["status"], done["invoice"]["billing_reason"]) == (
        "paid", "subscription_cycle",
    )  # fmt: skip
    clocks = account.stripe.v1.test_helpers.test_clocks
    assert (await clocks.retrieve_async(clock.id)).frozen_time == NOW + 31 * DAY + HOUR
    assert (await account.http.get("/_sandbox/clock")).json()["now"] == NOW
