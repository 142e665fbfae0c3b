"""3-D Secure: payments that wait until their payer has confirmed them."""

from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import START, Account

NOW = int(START.timestamp())
DAY, HOUR = 86_400, 3_600


async def test_a_first_payment_waits_for_its_payer(account: Account) -> None:
    v1 = account.stripe.v1
    customer = await account.customer(card="pm_card_threeDSecure2Required")
    subscription = await account.subscription(customer=customer.id)
    assert subscription.status == "incomplete"
    types = await account.event_types()
    assert [one for one in types if one.startswith(("customer.sub", "invoice", "payment_i"))] == [
        "customer.subscription.created",
        "invoice.created",
        "payment_intent.created",
        "invoice.finalized",
        "payment_intent.requires_action",
        "invoice.payment_action_required",
    ]
    answer = await account.http.post(await _bank(account, subscription), data={"action": "confirm"})
    assert answer.status_code == 303
    assert (await v1.subscriptions.retrieve_async(subscription.id)).status == "active"
    invoice = await v1.invoices.retrieve_async(str(subscription.latest_invoice))
    assert (invoice.status, invoice.attempt_count) == ("paid", 1)
    assert (await account.event_types())[-6:] == [
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice_payment.paid",
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.updated",
    ]
    charge: Any = (await v1.charges.list_async()).data[0]
    assert charge.payment_method_details.card.three_d_secure.result == "authenticated"
    again = await account.http.post(answer.headers["location"], data={})
    assert again.status_code == 400
    assert len(await account.events("charge.succeeded")) == 1


async def test_one_that_is_never_confirmed_expires(account: Account) -> None:
    v1 = account.stripe.v1
    customer = await account.customer(card="pm_card_threeDSecure2Required")
    subscription = await account.subscription(customer=customer.id)
    bank = await _bank(account, subscription)
    await account.advance(hours=23)
    assert (await v1.subscriptions.retrieve_async(subscription.id)).status == "incomplete_expired"
    invoice = await v1.invoices.retrieve_async(str(subscription.latest_invoice))
    assert invoice.status == "void"
    late = await account.http.post(bank, data={"action": "confirm"})
    assert "Not confirmed" in late.text
    assert await account.events("charge.succeeded") == []


async def test_a_refused_confirmation_leaves_the_invoice_open(account: Account) -> None:
    v1 = account.stripe.v1
    customer = await account.customer(card="pm_card_threeDSecure2Required")
    subscription = await account.subscription(customer=customer.id)
    await account.http.post(await _bank(account, subscription), data={"action": "fail"})
    assert (await v1.subscriptions.retrieve_async(subscription.id)).status == "incomplete"
    [failed] = await account.events("payment_intent.payment_failed")
    error = failed["data"]["object"]["last_payment_error"]
    assert error["code"] == "payment_intent_authentication_failure"
    assert len(await account.events("invoice.payment_failed")) == 1
    await v1.invoices.pay_async(
        str(subscription.latest_invoice), {"payment_method": "pm_card_visa"}
    )
    assert (await v1.subscriptions.retrieve_async(subscription.id)).status == "active"


async def test_a_renewal_that_needs_its_payer_makes_the_subscription_late(
    account: Account,
) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    await _change_card(account, subscription, "pm_card_authenticationRequired")
    await account.advance(days=31, hours=1)
    assert (await v1.subscriptions.retrieve_async(subscription.id)).status == "past_due"
    [asked] = await account.events("invoice.payment_action_required")
    about = asked["data"]["object"]
    assert (about["attempt_count"], about["next_payment_attempt"]) == (
        1,
        NOW + 31 * DAY + HOUR + 3 * DAY,
    )
    assert await account.events("invoice.payment_failed") == []
    await account.advance(days=3)
    assert len(await account.events("invoice.payment_action_required")) == 2
    hosted = await account.http.post(about["hosted_invoice_url"], data={})
    assert hosted.status_code == 303
    assert "/3ds/" in hosted.headers["location"]
    await account.http.post(hosted.headers["location"], data={"action": "confirm"})
    assert (await v1.subscriptions.retrieve_async(subscription.id)).status == "active"


async def test_a_renewal_nobody_confirms_ends_it_like_any_other(account: Account) -> None:
    subscription = await account.subscription()
    await _change_card(account, subscription, "pm_card_authenticationRequired")
    await account.advance(days=31 + 16, hours=1)
    ended = await account.stripe.v1.subscriptions.retrieve_async(subscription.id)
    assert ended.status == "canceled"
    assert ended.cancellation_details is not None
    assert ended.cancellation_details.reason == "payment_failed"
    asked = await account.events("invoice.payment_action_required")
    assert [event["data"]["object"]["attempt_count"] for event in asked] == [1, 2, 3, 4]


async def test_a_card_that_was_set_up_once_is_not_asked_again(account: Account) -> None:
    customer = await account.customer(card="pm_card_authenticationRequiredOnSetup")
    subscription = await account.subscription(customer=customer.id)
    await account.http.post(await _bank(account, subscription), data={"action": "confirm"})
    await account.advance(days=31, hours=1)
    v1 = account.stripe.v1
    renewed = await v1.subscriptions.retrieve_async(subscription.id)
    assert renewed.status == "active"
    assert len(await account.events("invoice.payment_action_required")) == 1
    assert len(await account.events("invoice.paid")) == 2


async def test_an_upgrade_waits_for_its_payer(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    await _change_card(account, subscription, "pm_card_authenticationRequired")
    change: Any = {
        "items": [{"id": subscription["items"].data[0].id, "price": "price_pro"}],
        "proration_behavior": "always_invoice",
        "payment_behavior": "error_if_incomplete",
    }
    with pytest.raises(stripe.CardError) as refused:
        await v1.subscriptions.update_async(subscription.id, change)
    assert refused.value.code == "subscription_payment_intent_requires_action"
    same = await v1.subscriptions.retrieve_async(subscription.id)
    assert (same["items"].data[0].price.id, same.latest_invoice) == (
        "price_starter",
        subscription.latest_invoice,
    )
    change["payment_behavior"] = "pending_if_incomplete"
    waiting = await v1.subscriptions.update_async(subscription.id, change)
    assert waiting.status == "active"
    assert waiting.pending_update is not None
    assert waiting["items"].data[0].price.id == "price_starter"
    await account.http.post(await _bank(account, waiting), data={"action": "confirm"})
    changed = await v1.subscriptions.retrieve_async(subscription.id)
    assert changed.pending_update is None
    assert changed["items"].data[0].price.id == "price_pro"
    assert "customer.subscription.pending_update_applied" in await account.event_types()


async def test_paying_by_api_says_that_the_payer_is_needed(account: Account) -> None:
    v1 = account.stripe.v1
    customer = await account.customer(card="pm_card_chargeCustomerFail")
    subscription = await account.subscription(customer=customer.id)
    with pytest.raises(stripe.CardError) as refused:
        await v1.invoices.pay_async(
            str(subscription.latest_invoice), {"payment_method": "pm_card_threeDSecure2Required"}
        )
    assert refused.value.code == "invoice_payment_intent_requires_action"
    intent = await _intent(account, subscription)
    assert intent.status == "requires_action"


@pytest.mark.parametrize("price", ["price_starter", "trial"])
async def test_checkout_goes_by_the_bank(account: Account, price: str) -> None:
    v1 = account.stripe.v1
    fields: Any = {"subscription_data": {"trial_period_days": 14}} if price == "trial" else {}
    session = await account.checkout(customer_email="b@example.com", **fields)
    bank = await account.http.post(session.url, data={"action": "challenge"})
    assert bank.status_code == 303
    assert (await v1.checkout.sessions.retrieve_async(session.id)).status == "open"
    assert (await v1.subscriptions.list_async()).data == []
    asks = await account.http.get(bank.headers["location"])
    assert "Your bank asks you to confirm" in asks.text
    failed = await account.http.post(bank.headers["location"], data={"action": "fail"})
    assert failed.status_code == 402
    assert "did not confirm" in failed.text
    assert (await v1.subscriptions.list_async()).data == []
    bank = await account.http.post(session.url, data={"action": "pay", "card": "confirms"})
    done = await account.http.post(bank.headers["location"], data={"action": "confirm"})
    assert done.headers["location"] == f"https://shop.test/done?session_id={session.id}"
    complete = await v1.checkout.sessions.retrieve_async(session.id)
    assert complete.status == "complete"
    found = (await v1.subscriptions.list_async()).data
    assert [one.status for one in found] == ["trialing" if price == "trial" else "active"]
    kind = "setup_intent" if price == "trial" else "payment_intent"
    types = await account.event_types()
    assert types.count(f"{kind}.created") == 1
    assert types.count(f"{kind}.requires_action") == 2
    assert types.count(f"{kind}.succeeded") == 1
    assert types[-1] == "checkout.session.completed"
    again = await account.http.post(bank.headers["location"], data={"action": "confirm"})
    assert "Confirmed" in again.text
    assert len((await v1.subscriptions.list_async()).data) == 1


async def test_a_payment_of_its_own(account: Account) -> None:
    v1 = account.stripe.v1
    paid = await v1.payment_intents.create_async(
        {"amount": 2000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    )
    assert (paid.status, paid.amount_received) == ("succeeded", 2000)
    waits = await v1.payment_intents.create_async({"amount": 700, "currency": "usd"})
    assert waits.status == "requires_payment_method"
    asked: Any = await v1.payment_intents.confirm_async(
        waits.id, {"payment_method": "pm_card_threeDSecure2Required"}
    )
    assert asked.status == "requires_action"
    page = await account.http.post(
        asked.next_action.redirect_to_url.url, data={"action": "confirm"}
    )
    assert page.status_code == 303
    assert (await v1.payment_intents.retrieve_async(waits.id)).status == "succeeded"
    with pytest.raises(stripe.CardError) as declined:
        await v1.payment_intents.create_async(
            {
                "amount": 100,
                "currency": "usd",
                "payment_method": "pm_card_chargeDeclinedExpiredCard",
                "confirm": True,
            }
        )
    assert declined.value.code == "expired_card"
    other = await v1.payment_intents.create_async({"amount": 100, "currency": "usd"})
    assert (await v1.payment_intents.cancel_async(other.id)).status == "canceled"
    for done in (paid.id, other.id):
        with pytest.raises(stripe.InvalidRequestError):
            await v1.payment_intents.cancel_async(done)
        with pytest.raises(stripe.InvalidRequestError):
            await v1.payment_intents.confirm_async(done, {"payment_method": "pm_card_visa"})


async def test_saving_a_card_of_its_own(account: Account) -> None:
    v1 = account.stripe.v1
    customer = await account.customer(card=None)
    asked: Any = await v1.setup_intents.create_async(
        {
            "customer": customer.id,
            "payment_method": "pm_card_authenticationRequiredOnSetup",
            "confirm": True,
        }
    )
    assert asked.status == "requires_action"
    await account.http.post(asked.next_action.redirect_to_url.url, data={"action": "confirm"})
    saved = await v1.setup_intents.retrieve_async(asked.id)
    assert saved.status == "succeeded"
    subscription = await account.subscription(
        customer=customer.id, default_payment_method=str(saved.payment_method)
    )
    assert subscription.status == "active"
    with pytest.raises(stripe.CardError):
        await v1.setup_intents.create_async(
            {"payment_method": "pm_card_chargeDeclined", "confirm": True}
        )
    other = await v1.setup_intents.create_async({"customer": customer.id})
    assert (await v1.setup_intents.cancel_async(other.id)).status == "canceled"


async def _change_card(account: Account, subscription: Any, card: str) -> None:
    v1 = account.stripe.v1
    method = await v1.payment_methods.attach_async(card, {"customer": subscription.customer})
    await v1.customers.update_async(
        subscription.customer, {"invoice_settings": {"default_payment_method": method.id}}
    )


async def _intent(account: Account, subscription: Any) -> Any:
    v1 = account.stripe.v1
    paid = await v1.invoice_payments.list_async({"invoice": str(subscription.latest_invoice)})
    return await v1.payment_intents.retrieve_async(str(paid.data[0].payment.payment_intent))


async def _bank(account: Account, subscription: Any) -> str:
    """The page on which the newest payment of a subscription can be confirmed."""
    intent = await _intent(account, subscription)
    assert intent.status == "requires_action"
    return str(intent.next_action.redirect_to_url.url)
