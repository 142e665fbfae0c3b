"""Money that goes back, from Stripe's dashboard to our rows, in whatever order it is told."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import URL

from app.kernel.clock import ManualClock
from app.webhooks.domain import PendingEvent
from app.webhooks.service.inbox import StripeInbox
from tests.factories.subscriptions import subscribed, subscription
from tests.support.stripe_account import Shop, a_shop
from tests.support.stripe_events import PATH

KEY = {"Authorization": "Bearer sk_test_sandbox"}


@pytest.fixture
async def shop(fresh_url: URL, clock: ManualClock) -> AsyncIterator[Shop]:
    async with a_shop(fresh_url, clock) as shop:
        yield shop


async def at_stripe(shop: Shop, path: str, **form: Any) -> dict[str, Any]:
    answer = await shop.account.http.post(path, data=form, headers=KEY)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def shuffled(shop: Shop, chance: random.Random) -> None:
    """Deliver what was sent, everything twice and in any order."""
    sent = await shop.account.collect()
    sent = [*sent, *sent]
    chance.shuffle(sent)
    async with shop.service.client() as client:
        for body, headers in sent:
            assert (await client.post(PATH, content=body, headers=headers)).status_code == 200
    await shop.service.drain()


@pytest.mark.parametrize("seed", [1, 3])
async def test_refunds_and_disputes_end_where_stripe_ends(shop: Shop, seed: int) -> None:
    chance = random.Random(seed)
    owner = await subscribed(shop)
    [charge] = shop.account.find("charge")
    await at_stripe(shop, "/v1/refunds", charge=charge["id"], amount=1000)
    if seed % 2:
        await shuffled(shop, chance)
    dispute = await shop.account.control(
        "disputes", charge=charge["id"], reason="fraudulent", amount=2000
    )
    if seed % 3:
        await shuffled(shop, chance)
    assert dispute["object"] == "dispute"
    await shuffled(shop, chance)
    [row] = await shop.rows("select amount_refunded, is_disputed from charges")
    [truth] = shop.account.find("charge")
    assert row == {"amount_refunded": 1000, "is_disputed": truth["disputed"]}
    [refund] = await shop.rows("select amount, status from refunds")
    assert refund == {"amount": 1000, "status": "succeeded"}
    assert (await subscription(owner))["payment_state"] == "disputed"
    assert (await subscription(owner))["tier"] == "professional", "access stays"

    await shop.account.control(f"disputes/{dispute['id']}", status="won")
    await shuffled(shop, chance)
    [told] = await shop.rows("select status from disputes")
    assert told["status"] == "won"
    assert (await subscription(owner))["payment_state"] == "ok"
    pending = await shop.rows("select event_id from stripe_events where state = 'pending'")
    assert pending == []


async def test_what_stripe_does_not_know_is_gone(shop: Shop) -> None:
    inbox = shop.service.services[StripeInbox]
    for kind in ("charge.refunded", "refund.created", "charge.dispute.created"):
        event = PendingEvent("evt_x", kind, "xx_none", False, shop.clock.now(), 1)
        apply = await inbox._prepare(event)
        async with shop.service.work.begin_platform():
            assert (await apply()).note == "gone"
