"""Stripe is away, slow, too busy, or its answers are lost: one of everything, and nobody helps."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from app.kernel.errors import Unavailable
from app.kernel.ids import new_id
from app.subscriptions.models import CheckoutAttempt, CustomerRegistration
from app.webhooks.service.inbox import StripeInbox
from tests.factories.people import an_owner
from tests.factories.subscriptions import URLS, call, subscription
from tests.support.long import LONG
from tests.support.stripe_account import Shop

TROUBLES: dict[str, Sequence[dict[str, Any]]] = {
    "too many calls": [{"kind": "rate_limit", "count": 3}],
    "down": [{"kind": "server_error", "count": 4}],
    "slow": [{"kind": "slow", "count": 6, "seconds": 0.5}],
    "answers lost": [
        {"kind": "lost_answer", "count": 1, "path": "/v1/customers", "method": "POST"},
        {"kind": "lost_connection", "count": 1, "path": "/v1/checkout/sessions", "method": "POST"},
    ],
    "half an answer": [
        {"kind": "truncated", "count": 1, "path": "/v1/customers", "method": "POST"},
        {"kind": "truncated", "count": 1, "path": "/v1/checkout/sessions", "method": "POST"},
    ],
    "everything": [
        {"kind": "rate_limit", "count": 1},
        {"kind": "lost_answer", "count": 2, "path": "/v1/customers", "method": "POST"},
        {"kind": "slow", "count": 2, "seconds": 0.3},
        {"kind": "lost_answer", "count": 2, "path": "/v1/checkout/sessions", "method": "POST"},
    ],
}


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(name, marks=() if name in {"down", "answers lost", "everything"} else LONG)
        for name in TROUBLES
    ],
)
async def test_whatever_stripe_does_there_is_one_customer_one_page_and_one_subscription(
    shop: Shop, trouble: str
) -> None:
    """Callers press again until they have a page; nobody else lends a hand."""
    owner = await an_owner(shop.service)
    for fault in TROUBLES[trouble]:
        await shop.account.control("faults", **fault)
    pages: set[str] = set()
    for _ in range(8):
        answer = await call(owner, "POST", "checkout", {"plan": "professional", **URLS})
        assert answer.status_code in {201, 503}, answer.text
        if answer.status_code == 201:
            pages.add(answer.json()["id"])
        if len(pages) == 1 and answer.status_code == 201:
            break
    [session] = shop.account.find("checkout.session")
    assert pages == {session["id"]}
    assert len(shop.account.find("customer")) == 1

    await shop.account.click(session["url"])
    for fault in TROUBLES[trouble]:
        spoiled = {**fault, "path": "/v1/subscriptions", "method": "GET"}
        await shop.account.control("faults", **spoiled)
    with suppress(Unavailable):
        await shop.deliver()
    await shop.account.http.delete("/_sandbox/faults")
    shop.clock.advance(minutes=6)
    await shop.service.services[StripeInbox].sweep()
    await shop.service.drain()
    held = await subscription(owner)
    assert (held["tier"], held["status"]) == ("professional", "active")
    assert len(shop.account.find("subscription")) == 1
    unhandled = "select type from stripe_events where state in ('pending', 'dead')"
    assert await shop.rows(unhandled) == []


async def test_with_a_fresh_key_per_call_there_would_be_two_of_each(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: it is the rows' keys that make what is asked again one."""
    for wish in (CustomerRegistration, CheckoutAttempt):
        monkeypatch.setattr(wish, "idempotency_key", property(lambda _: new_id().hex))
    owner = await an_owner(shop.service)
    for path in ("/v1/customers", "/v1/checkout/sessions"):
        for kind, count in (("lost_answer", 1), ("server_error", 2)):
            await shop.account.control("faults", kind=kind, count=count, path=path, method="POST")
    while (
        await call(owner, "POST", "checkout", {"plan": "professional", **URLS})
    ).status_code != 201:
        pass
    assert len(shop.account.find("customer")) == 2
    assert len(shop.account.find("checkout.session")) == 2
