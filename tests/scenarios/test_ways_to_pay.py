"""Payments that must be confirmed, that take days, or that Stripe makes a pause of."""

from __future__ import annotations

from typing import Any

import pytest

from app.kernel.facts import Fact
from app.subscriptions.events import PaymentActionRequired, PaymentFailed
from tests.factories.people import Owner, an_owner
from tests.factories.subscriptions import ask, call, checkout, subscribed, subscription
from tests.support.stripe_account import Shop

KEY = {"Authorization": "Bearer sk_test_sandbox"}


@pytest.fixture
def facts(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> list[Fact]:
    heard: list[Fact] = []
    announce = shop.service.work.announce

    def listen(fact: Fact) -> None:
        heard.append(fact)
        announce(fact)

    monkeypatch.setattr(shop.service.work, "announce", listen)
    return heard


async def post(shop: Shop, path: str, **form: str) -> dict[str, Any]:
    """What an operator does in Stripe's dashboard."""
    named = {name.replace("__", "[") + ("]" if "__" in name else ""): v for name, v in form.items()}
    answer = await shop.account.http.post(path, data=named, headers=KEY)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def use_card(shop: Shop, card: str) -> None:
    """Let the customer's card be another from now on."""
    [customer] = shop.account.find("customer")
    saved = await post(shop, f"/v1/payment_methods/{card}/attach", customer=customer["id"])
    await post(
        shop,
        f"/v1/customers/{customer['id']}",
        invoice_settings__default_payment_method=saved["id"],
    )
    for bought in shop.account.find("subscription"):
        if bought["status"] != "canceled":
            await post(
                shop, f"/v1/subscriptions/{bought['id']}", default_payment_method=saved["id"]
            )


async def confirm(shop: Shop, page: str) -> None:
    """Follow a link to pay as far as the bank, and say yes there."""
    answer = await shop.account.click(page)
    bank = answer.headers["location"]
    assert "/3ds/" in bank, answer.text
    confirmed = await shop.account.click(bank, "confirm")
    assert confirmed.status_code in {302, 303}, confirmed.text
    await shop.deliver()


async def waiting_for(owner: Owner, page: dict[str, Any]) -> tuple[str, bool]:
    found = (await call(owner, "GET", f"checkout/{page['id']}")).json()
    return found["status"], found["is_active"]


async def test_a_checkout_that_the_bank_asks_about(shop: Shop) -> None:
    owner = await an_owner(shop.service)
    page = await checkout(owner)
    asked = await shop.account.click(page["url"], "challenge")
    await shop.deliver()
    assert await waiting_for(owner, page) == ("open", False)
    await shop.account.click(asked.headers["location"], "confirm")
    assert await waiting_for(owner, page) == ("processing", False)
    await shop.deliver()
    assert await waiting_for(owner, page) == ("complete", True)


async def test_a_debit_grants_when_it_has_come(shop: Shop) -> None:
    owner = await an_owner(shop.service)
    page = await checkout(owner)
    await shop.account.click(page["url"], "delayed")
    await shop.deliver()
    held = await subscription(owner)
    assert (held["tier"], held["payment_state"]) == ("free", "processing"), held["status"]
    assert await waiting_for(owner, page) == ("processing", False)
    assert await shop.rows("select 1 from paid_periods") == []
    await shop.advance(days=4)
    paid = await subscription(owner)
    assert (paid["tier"], paid["status"], paid["payment_state"]) == ("professional", "active", "ok")
    assert await waiting_for(owner, page) == ("complete", True)


async def test_a_debit_that_fails_has_granted_nothing(shop: Shop) -> None:
    owner = await an_owner(shop.service)
    page = await checkout(owner)
    await shop.account.click(page["url"], "delayed_fails")
    await shop.deliver()
    assert (await subscription(owner))["tier"] == "free"
    await shop.advance(days=4)
    failed = await subscription(owner)
    assert (failed["tier"], failed["grace_until"]) == ("free", None), failed["status"]
    assert await waiting_for(owner, page) == ("failed", False)
    assert await shop.rows("select 1 from recovery_cases") == []
    shown = (await call(owner, "GET", "recovery")).json()
    assert (shown["state"], shown["cases"]) == ("first_payment_failed", [])
    [step] = shown["timeline"]
    assert (step["kind"], step["amount"], step["clock"]) == ("payment_failed", 29900, "stripe")


async def test_an_upgrade_that_the_bank_asks_about_counts_when_confirmed(shop: Shop) -> None:
    owner = await subscribed(shop, "starter")
    await use_card(shop, "pm_card_authenticationRequired")
    asked = await ask(owner, "change", plan="professional")
    assert (asked.status_code, asked.json()["outcome"]) == (202, "pending")
    await shop.deliver()
    again = await ask(owner, "change", plan="professional")
    assert (again.status_code, again.json()["pay_url"]) == (202, asked.json()["pay_url"])
    updates = [i for i in shop.account.find("invoice") if i["billing_reason"].endswith("update")]
    assert len(updates) == 1, "asking twice bills once"
    waiting = await subscription(owner)
    assert (waiting["tier"], waiting["pending_change"]["reason"]) == ("starter", "payment")
    await confirm(shop, waiting["pay_url"])
    after = await subscription(owner)
    assert (after["tier"], after["pending_change"], after["pay_url"]) == (
        "professional",
        None,
        None,
    )


async def test_a_renewal_that_the_bank_asks_about(shop: Shop, facts: list[Fact]) -> None:
    owner = await subscribed(shop)
    await use_card(shop, "pm_card_authenticationRequired")
    await shop.advance(days=30, hours=2)
    owed = await subscription(owner)
    assert (owed["tier"], owed["payment_state"]) == ("professional", "past_due")
    asked = [fact for fact in facts if isinstance(fact, PaymentActionRequired)]
    assert [fact.pay_url for fact in asked] == [owed["pay_url"]]
    assert not [fact for fact in facts if isinstance(fact, PaymentFailed)]
    steps = (await call(owner, "GET", "recovery")).json()["timeline"]
    assert {step["kind"] for step in steps} == {"action_required", "grace_started"}
    assert {(s["stripe_invoice_id"], s["amount"]) for s in steps} == {
        (asked[0].stripe_invoice_id, 29900)
    }
    await confirm(shop, owed["pay_url"])
    back = await subscription(owner)
    assert (back["tier"], back["payment_state"], back["pay_url"]) == ("professional", "ok", None)


async def by_the_dashboard(shop: Shop) -> None:
    """A subscription that an operator makes at Stripe: incomplete until its bill is paid."""
    [customer] = shop.account.find("customer")
    answer = await shop.account.http.post(
        "/v1/subscriptions",
        data={
            "customer": customer["id"],
            "payment_behavior": "default_incomplete",
            "items[0][price]": "price_professional",
        },
        headers=KEY,
    )
    assert answer.status_code == 200, answer.text
    await shop.deliver()


async def test_an_incomplete_subscription_shows_where_to_pay(shop: Shop) -> None:
    owner = await an_owner(shop.service)
    page = await checkout(owner)
    await by_the_dashboard(shop)
    held = await subscription(owner)
    assert (held["tier"], held["status"]) == ("free", "incomplete")
    await shop.account.click(held["pay_url"], card="visa")
    await shop.deliver()
    paid = await subscription(owner)
    assert (paid["tier"], paid["status"], paid["pay_url"]) == ("professional", "active", None)
    assert await waiting_for(owner, page) == ("expired", False), "the page beside it was closed"


async def test_an_incomplete_subscription_that_nobody_pays_was_none(shop: Shop) -> None:
    owner = await an_owner(shop.service)
    await checkout(owner)
    await by_the_dashboard(shop)
    await shop.advance(hours=25)
    after = await subscription(owner)
    assert (after["tier"], after["status"], after["pay_url"]) == ("free", "none", None)
    assert (await checkout(owner))["url"], "and another may be bought"


async def test_a_pause_that_stripe_makes_of_failed_payments(shop: Shop) -> None:
    await shop.account.control("settings", payment_retry_days=[3], after_retries="pause")
    owner = await subscribed(shop)
    await shop.decline_from_now_on("insufficient_funds")
    await shop.advance(days=30, hours=2)
    assert (await subscription(owner))["tier"] == "professional"
    await shop.advance(days=3, hours=1)
    paused = await subscription(owner)
    assert (paused["tier"], paused["status"], paused["payment_state"]) == (
        "free",
        "paused",
        "unpaid",
    )
    assert paused["pause"]["reason"] == "final_payment_failure"
    [case] = await shop.rows("select outcome from recovery_cases")
    assert case["outcome"] == "given_up"
    await shop.decline_from_now_on(None)
    resumed = await ask(owner, "resume")
    assert resumed.status_code == 200, resumed.text
    await shop.deliver()
    assert (await subscription(owner))["tier"] == "professional"


async def test_a_pause_of_collecting_leaves_access_and_is_lifted(shop: Shop) -> None:
    owner = await subscribed(shop)
    [bought] = shop.account.find("subscription")
    await post(shop, f"/v1/subscriptions/{bought['id']}", pause_collection__behavior="void")
    await shop.deliver()
    resting = await subscription(owner)
    assert (resting["tier"], resting["pause"]["kind"]) == ("professional", "collection")
    await shop.advance(days=30, hours=2)
    assert (await subscription(owner))["tier"] == "professional"
    assert (await ask(owner, "resume")).json()["pause"] is None


async def test_a_customer_deleted_at_stripe_comes_back_as_a_new_one_once(shop: Shop) -> None:
    owner = await subscribed(shop)
    [first] = shop.account.find("customer")
    deleted = await shop.account.http.delete(f"/v1/customers/{first['id']}", headers=KEY)
    assert deleted.status_code == 200
    await shop.deliver()
    gone = await subscription(owner)
    assert (gone["tier"], gone["status"]) == ("free", "canceled")
    page = await checkout(owner, "starter")
    assert await checkout(owner, "starter") == page
    alive = [one for one in shop.account.find("customer") if not one.get("deleted")]
    assert len(alive) == 1
    await shop.account.click(page["url"])
    await shop.deliver()
    assert (await subscription(owner))["tier"] == "starter"
