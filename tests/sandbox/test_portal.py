"""The portal page and the console: what a person can do and see."""

import re
from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import Account


async def _portal(account: Account, subscription: Any) -> str:
    session = await account.stripe.v1.billing_portal.sessions.create_async(
        {"customer": str(subscription.customer), "return_url": "https://shop.test/billing"}
    )
    return session.url


async def test_cancelling_in_the_portal_sets_a_date_and_no_flag(account: Account) -> None:
    subscription = await account.subscription()
    url = await _portal(account, subscription)
    page = await account.http.get(url)
    assert "Starter" in page.text
    assert 'href="https://shop.test/billing"' in page.text
    form = {"subscription": subscription.id}
    answer = await account.http.post(url, data={**form, "action": "cancel"})
    assert answer.status_code == 303
    assert "will end" in (await account.http.get(answer.headers["location"])).text
    planned = await account.stripe.v1.subscriptions.retrieve_async(subscription.id)
    assert planned.cancel_at_period_end is False
    assert planned.cancel_at == subscription["items"].data[0].current_period_end
    await account.http.post(url, data={**form, "action": "undo"})
    back = await account.stripe.v1.subscriptions.retrieve_async(subscription.id)
    assert back.cancel_at is None


async def test_changing_plan_and_card(account: Account) -> None:
    subscription = await account.subscription()
    url = await _portal(account, subscription)
    form = {"subscription": subscription.id, "action": "change", "price": "price_pro"}
    assert (await account.http.post(url, data=form)).status_code == 303
    changed = await account.stripe.v1.subscriptions.retrieve_async(subscription.id)
    assert changed["items"].data[0].price.id == "price_pro"
    await account.http.post(url, data={"action": "card", "card": "mastercard"})
    after = await account.stripe.v1.subscriptions.retrieve_async(
        subscription.id, {"expand": ["default_payment_method"]}
    )
    assert isinstance(after.default_payment_method, stripe.PaymentMethod)
    assert after.default_payment_method.card is not None
    assert after.default_payment_method.card.last4 == "4444"


async def test_nobody_touches_what_is_someone_elses(account: Account) -> None:
    mine, theirs = await account.subscription(), await account.subscription()
    url = await _portal(account, mine)
    form = {"subscription": theirs.id, "action": "cancel"}
    assert (await account.http.post(url, data=form)).status_code == 404
    untouched = await account.stripe.v1.subscriptions.retrieve_async(theirs.id)
    assert untouched.cancel_at is None
    odd = await account.http.post(url, data={"subscription": mine.id, "action": "dance"})
    assert odd.status_code == 400
    assert (await account.http.get("/p/session/bps_none")).status_code == 404


async def test_every_page_stands_alone_and_every_field_has_a_label(account: Account) -> None:
    subscription = await account.subscription()
    session = await account.checkout(allow_promotion_codes=True)
    invoice = await account.stripe.v1.invoices.retrieve_async(subscription.latest_invoice)
    pages = [session.url, await _portal(account, subscription), str(invoice.hosted_invoice_url),
             "/", "/console/sessions", "/console/events", "/console/deliveries",
             "/console/customers", f"/console/objects/{subscription.id}"]  # fmt: skip
    for url in pages:
        answer = await account.http.get(url)
        assert answer.status_code == 200, url
        assert "<script" not in answer.text
        loaded = re.findall(r"<(?:img|link|script|iframe)[^>]*>|@import|url\(", answer.text)
        assert loaded == []
        assert '<html lang="en">' in answer.text
        labels = set(re.findall(r'<label for="([^"]+)"', answer.text))
        fields = re.findall(r'<(?:input type="(?:text|email)"|select) id="([^"]+)"', answer.text)
        assert labels == set(fields)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    secret = await account.control("webhook_endpoints", url="https://a.test/", secret="whsec_top")
    shown = await account.http.get(f"/console/objects/{secret['id']}")
    assert "whsec_top" not in shown.text


async def test_what_has_ended_cannot_be_scheduled_in_the_portal(account: Account) -> None:
    subscription = await account.subscription()
    url = await _portal(account, subscription)
    await account.stripe.v1.subscriptions.cancel_async(subscription.id)
    answer = await account.http.post(
        url, data={"subscription": subscription.id, "action": "cancel"}
    )
    assert answer.status_code == 400
    with pytest.raises(stripe.InvalidRequestError):
        await account.stripe.v1.billing_portal.sessions.create_async({"customer": "cus_none"})


async def test_a_configuration_says_what_may_be_done(account: Account) -> None:
    portal = account.stripe.v1.billing_portal
    made = await portal.configurations.create_async(
        {
            "features": {
                "payment_method_update": {"enabled": True},
                "subscription_cancel": {"enabled": False},
                "subscription_update": {"enabled": False},
            }
        }
    )
    subscription = await account.subscription()
    session = await portal.sessions.create_async(
        {"customer": str(subscription.customer), "configuration": made.id}
    )
    shown = (await account.http.get(session.url)).text
    assert "Update card" in shown
    assert "Cancel at the end" not in shown
    assert "Change plan" not in shown
    form = {"subscription": subscription.id, "action": "cancel"}
    refused = await account.http.post(session.url, data=form)
    assert refused.status_code == 400
    await portal.configurations.update_async(
        made.id, {"features": {"subscription_cancel": {"enabled": True}}}
    )
    assert (await account.http.post(session.url, data=form)).status_code == 303
    listed = await portal.configurations.list_async({"active": True})
    assert [one.id for one in listed.data] == [made.id]
    assert listed.data[0].features.payment_method_update.enabled
    with pytest.raises(stripe.InvalidRequestError, match="No such configuration"):
        await portal.sessions.create_async(
            {"customer": str(subscription.customer), "configuration": "bpc_none"}
        )
