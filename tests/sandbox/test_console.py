"""The console: a person finds a customer, their time, their bills, and what was told of them."""

import re
from typing import Any

from tests.sandbox.conftest import START, Account


async def _page(account: Account, path: str) -> str:
    answer = await account.http.get(path)
    assert answer.status_code == 200, path
    assert "<script" not in answer.text
    assert re.findall(r"(?:src|href)=\"https?://(?!127\.0\.0\.1)", answer.text) == []
    return answer.text


def _links(text: str) -> set[str]:
    return set(re.findall(r'href="(/[^"]*)"', text))


async def test_every_link_leads_somewhere(account: Account) -> None:
    """From the home page, everything that can be reached is there."""
    await account.control("webhook_endpoints", url="https://a.test/", secret="whsec_a",
                          payload="both")  # fmt: skip
    subscription = await account.subscription()
    await account.checkout()
    [charge] = (await account.stripe.v1.charges.list_async()).data
    await account.stripe.v1.refunds.create_async({"charge": charge.id, "amount": 100})
    await account.control("disputes", charge=charge.id)
    gone = await account.customer(card=None)
    await account.stripe.v1.customers.delete_async(gone.id)
    await account.app.state.deliverer.deliver_due()
    seen: set[str] = set()
    ahead = {"/"}
    while ahead:
        path = ahead.pop()
        seen.add(path)
        ahead |= _links(await _page(account, path)) - seen
    for name in (subscription.id, charge.id, str(subscription.latest_invoice)):
        assert f"/console/objects/{name}" in seen
    assert f"/console/customers/{gone.id}" in seen
    assert sum(path.startswith("/console/events/") for path in seen) >= 15


async def test_a_customers_page_tells_their_life(account: Account) -> None:
    clocks = account.stripe.v1.test_helpers.test_clocks
    clock = await clocks.create_async(
        {"frozen_time": int(START.timestamp()) + 86_400, "name": "A <b>year</b>"}
    )
    customer: Any = await account.customer(name="Zoë & <Sons>", test_clock=clock.id)
    subscription = await account.subscription(customer=customer.id)
    shown = await _page(account, f"/console/customers/{customer.id}")
    assert "2026-03-02 12:00:00" in shown
    assert "A &lt;b&gt;year&lt;/b&gt;" in shown
    assert "Zoë &amp; &lt;Sons&gt;" in shown
    for path in ("/", "/console/clocks", f"/console/objects/{clock.id}"):
        assert "<b>" not in await _page(account, path)
    for text in (subscription.id, "active", "$99.00", "invoice.paid", "4242", "default"):
        assert text in shown
    assert (await account.http.get("/console/customers/cus_none")).status_code == 404


async def test_an_event_tells_how_its_deliveries_went(account: Account) -> None:
    await account.control("webhook_endpoints", url="https://a.test/", secret="whsec_a")
    account.mailbox.answers = [503]
    await account.stripe.v1.customers.create_async({"name": "x"})
    await account.app.state.deliverer.deliver_due()
    [event] = (await account.stripe.v1.events.list_async()).data
    shown = await _page(account, f"/console/events/{event.id}")
    for text in ("customer.created", "pending", "503"):
        assert text in shown
    assert "1 deliveries" in await _page(account, "/")
    assert "pending (503)" in await _page(account, "/")
    assert (await account.http.get("/console/events/evt_none")).status_code == 404
