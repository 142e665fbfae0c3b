"""Our invoices paid through Stripe: one request for money each, and no second document."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import URL

from app.gateways.stripe.collection import CollectionGateway
from app.gateways.stripe.errors import StripeUnavailable
from app.invoices.service.collecting import InvoiceCollecting
from app.kernel.clock import ManualClock
from app.kernel.ids import decode_id
from tests.factories.billing import act, generate, spend
from tests.factories.operators import an_operator
from tests.factories.people import Owner
from tests.factories.subscriptions import subscribed
from tests.support.stripe_account import Shop, a_shop

INVOICES = "/api/v1/billing/invoices"
NOVEMBER = "2026-11"


@pytest.fixture
async def shop(fresh_url: URL, clock: ManualClock) -> AsyncIterator[Shop]:
    async with a_shop(fresh_url, clock) as opened:
        yield opened


@pytest.fixture
async def owner(shop: Shop) -> Owner:
    """A customer of Stripe's with a saved card, who also has usage that we bill."""
    customer = await subscribed(shop)
    await shop.deliver()
    await spend(customer, "one", shop.clock.now(), 300)
    return customer


@pytest.fixture
async def operator(shop: Shop) -> httpx.AsyncClient:
    return await an_operator(shop.service)


async def issued(operator: httpx.AsyncClient, owner: Owner) -> dict[str, Any]:
    return await act(operator, await generate(operator, owner, NOVEMBER), "finalize")


def requests(shop: Shop) -> list[dict[str, Any]]:
    """Stripe's invoices that collect ours."""
    return [one for one in shop.account.find("invoice") if one["billing_reason"] == "manual"]


async def test_an_issued_invoice_is_paid_by_the_saved_card(
    shop: Shop, operator: httpx.AsyncClient, owner: Owner
) -> None:
    invoice = await issued(operator, owner)
    assert (invoice["collection"], invoice["amount_due"]) == ("stripe", 300)
    await shop.service.drain()
    await shop.advance(hours=2)
    (request,) = requests(shop)
    assert (request["amount_due"], request["metadata"]) == (300, {"billing_invoice": invoice["id"]})
    paid = (await owner.client.get(f"{INVOICES}/{invoice['id']}")).json()
    assert (paid["status"], paid["amount_paid"], paid["amount_remaining"]) == ("paid", 300, 0)
    listed = (await owner.client.get(INVOICES)).json()["data"]
    assert sum(one["origin"] == "own" for one in listed) == 1
    assert request["id"] not in {one["stripe_invoice_id"] for one in listed}


async def test_a_try_that_lost_its_answer_asks_for_money_once(
    shop: Shop, operator: httpx.AsyncClient, owner: Owner
) -> None:
    invoice = await issued(operator, owner)
    collecting = shop.service.services[InvoiceCollecting]
    named = (owner.organization_id, decode_id("inv", invoice["id"]))
    gateway = shop.service.services[CollectionGateway]  # type: ignore[type-abstract]
    collecting._stripe = LosesAnswers(gateway)  # type: ignore[assignment]
    for _ in range(2):
        with pytest.raises(StripeUnavailable):
            await collecting.collect(*named)
    collecting._stripe = gateway
    for _ in range(2):
        await collecting.collect(*named)
    assert len(requests(shop)) == 1


class LosesAnswers:
    """Does what it is asked and dies before it tells."""

    def __init__(self, gateway: CollectionGateway) -> None:
        self._gateway = gateway

    async def collect(self, order: Any, *, key: str) -> Any:
        await self._gateway.collect(order, key=key)
        raise StripeUnavailable


@pytest.mark.parametrize("ending", ["void", "mark-paid"])
async def test_what_ends_otherwise_is_not_asked_for_at_stripe(
    shop: Shop, operator: httpx.AsyncClient, owner: Owner, ending: str
) -> None:
    await shop.decline_from_now_on()
    invoice = await issued(operator, owner)
    await shop.service.drain()
    await act(operator, invoice, ending)
    await shop.service.drain()
    await shop.deliver()
    (request,) = requests(shop)
    assert request["status"] == "void"
    found = (await owner.client.get(f"{INVOICES}/{invoice['id']}")).json()
    assert found["status"] == ("void" if ending == "void" else "paid")


async def test_by_transfer_nothing_is_asked_of_stripe(
    shop: Shop, operator: httpx.AsyncClient, owner: Owner
) -> None:
    answer = await operator.put(
        f"/api/v1/admin/organizations/{owner.id}/billing-agreement",
        json={"collection": "transfer", "tax_rate": "0.07"},
    )
    assert answer.status_code == 200, answer.text
    invoice = await issued(operator, owner)
    assert (invoice["collection"], invoice["tax"]) == ("transfer", 21)
    await shop.service.drain()
    assert requests(shop) == []


async def test_a_fee_that_stripe_bills_is_not_billed_again(
    shop: Shop, operator: httpx.AsyncClient, owner: Owner
) -> None:
    invoice = await generate(operator, owner, NOVEMBER)
    assert [line["kind"] for line in invoice["lines"]] == ["usage"]
