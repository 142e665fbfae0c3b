"""Our invoices paid through Stripe: one request for money each, and no second document."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import URL

from app.doctor.service import Doctor
from app.gateways.stripe.collection import CollectionGateway, CollectionOrder
from app.gateways.stripe.errors import StripeUnavailable
from app.gateways.stripe.gateway import StripeGateway
from app.invoices.service.collecting import InvoiceCollecting
from app.invoices.service.mirror import InvoiceMirror
from app.invoices.service.paying import WaysToPay, WayToPay
from app.invoices.service.reading import InvoiceService
from app.kernel.clock import ManualClock
from app.kernel.ids import decode_id
from tests.factories.billing import act, generate, spend
from tests.factories.operators import an_operator
from tests.factories.people import Owner
from tests.factories.subscriptions import call, subscribed
from tests.support.staying import staying_signed_in
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


def note(amount: int | None) -> dict[str, Any]:
    lines = [{"line": 0, "amount": amount}]
    return {"lines": lines, "kind": "goodwill", "reason": "Late answers"}


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
    charges = (await operator.get("/api/v1/admin/billing/recent-charges")).json()["data"]
    ours = [one for one in charges if one["organization_id"] == owner.id and one["amount"] == 300]
    assert [one["invoice_number"] for one in ours] == [invoice["number"]]


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


async def test_the_notice_says_how_it_is_paid(
    shop: Shop, operator: httpx.AsyncClient, owner: Owner
) -> None:
    ways, invoices = shop.service.services[WaysToPay], shop.service.services[InvoiceService]
    by_transfer, without_card = await subscribed(shop), await subscribed(shop)
    agreed = await operator.put(
        f"/api/v1/admin/organizations/{by_transfer.id}/billing-agreement",
        json={"collection": "transfer"},
    )
    assert agreed.status_code == 200, agreed.text
    [card] = (await without_card.client.get("/api/v1/billing/payment-methods")).json()["data"]
    gone = await shop.account.http.post(
        f"/v1/payment_methods/{card['id']}/detach",
        headers={"Authorization": "Bearer sk_test_sandbox"},
    )
    assert gone.status_code == 200, gone.text
    await shop.deliver()
    for who, way, said in (
        (owner, WayToPay.CHARGE, "we will charge the card or account that you have saved."),
        (by_transfer, WayToPay.TRANSFER, "by bank transfer, and name INV-2026-"),
        (without_card, WayToPay.PAGE, "Please pay it by 2026-12-"),
    ):
        if who is not owner:
            await spend(who, "one", shop.clock.now(), 300)
        invoice = await issued(operator, who)
        known = decode_id("inv", invoice["id"])

        async def asked(who: Owner = who, known: UUID = known) -> WayToPay:
            found = await invoices.get(who.organization_id, known)
            return await ways.of(who.organization_id, found)

        # Before anything was asked of Stripe, and after.
        assert await asked() is way
        await shop.service.drain()
        assert await asked() is way
        [mail] = [one for one in shop.service.mail.to(who.email) if "INV-2026-" in one.subject]
        assert said in mail.text
        page = await who.client.get(f"{INVOICES}/{invoice['id']}/html")
        urls = [one["hosted_invoice_url"] for one in requests(shop)]
        shown_there = [url for url in urls if f'<a href="{url}"' in page.text]
        assert len(shown_there) == (way is not WayToPay.TRANSFER)
        assert any(one in mail.text for one in (f"{INVOICES}/{invoice['id']}/html", *shown_there))
        await act(operator, invoice, "mark-paid")
        paid = await who.client.get(f"{INVOICES}/{invoice['id']}/html")
        assert "<a href" not in paid.text


async def test_a_fee_that_stripe_bills_is_not_billed_again(
    shop: Shop, operator: httpx.AsyncClient, owner: Owner
) -> None:
    invoice = await generate(operator, owner, NOVEMBER)
    assert [line["kind"] for line in invoice["lines"]] == ["usage"]


async def notices(shop: Shop, owner: Owner) -> list[tuple[str, str]]:
    rows = await shop.rows(
        f"select kind, cause from notices where organization_id = '{owner.organization_id}'"
        " and kind like 'payment%' order by id"
    )
    return [(row["kind"], row["cause"]) for row in rows]


async def shown(owner: Owner, invoice: dict[str, Any]) -> dict[str, Any]:
    return dict((await call(owner, "GET", f"invoices/{invoice['id']}")).json())


async def timeline(owner: Owner) -> list[dict[str, Any]]:
    answer = await call(owner, "GET", "recovery")
    return list(answer.json()["timeline"])


async def tell_again(shop: Shop, owner: Owner, request: dict[str, Any]) -> None:
    """The news that an attempt failed, handled late or once more: the invoice is asked for anew."""
    services = shop.service.services
    stands = await services[StripeGateway].get_invoice(request["id"])  # type: ignore[type-abstract]
    async with shop.service.work.begin(owner.organization_id):
        await services[InvoiceMirror].record(
            owner.organization_id, stands, failed_at=shop.clock.now()
        )
    await shop.service.drain()


async def test_a_declined_card_is_told_with_a_page_to_pay_and_takes_no_plan(
    shop: Shop, operator: httpx.AsyncClient, owner: Owner
) -> None:
    await shop.decline_from_now_on()
    invoice = await issued(operator, owner)
    await shop.service.drain()
    await shop.advance(hours=2)
    (request,) = requests(shop)
    found = await shown(owner, invoice)
    assert (found["status"], found["payment_problem"]) == ("open", "failed")
    assert found["hosted_invoice_url"] == request["hosted_invoice_url"]
    assert found["next_payment_attempt"] is not None
    told = await notices(shop, owner)
    [(kind, cause)] = told
    assert kind == "payment_failed"
    assert cause.startswith(f"payment_failed:{request['id']}:1:")
    [step] = await timeline(owner)
    assert (step["kind"], step["detail"]) == ("payment_failed", invoice["id"])
    assert (step["amount"], step["attempt"], step["pay_url"]) == (
        300,
        1,
        request["hosted_invoice_url"],
    )
    subscription = (await owner.client.get("/api/v1/billing/subscription")).json()
    assert (subscription["payment_state"], subscription["grace_until"]) == ("ok", None)

    # The same news again, and late, tells nobody twice.
    await tell_again(shop, owner, request)
    assert await notices(shop, owner) == told
    await shop.decline_from_now_on(None)
    await shop.advance(days=4)
    found = await shown(owner, invoice)
    assert (found["status"], found["payment_problem"]) == ("paid", None)
    assert [step["kind"] for step in await timeline(owner)] == [
        "payment_received",
        "payment_failed",
    ]
    await tell_again(shop, owner, request)
    assert await notices(shop, owner) == told
    assert (await shown(owner, invoice))["payment_problem"] is None


async def test_a_bank_that_asks_for_a_confirmation_is_told_of(
    shop: Shop, operator: httpx.AsyncClient, owner: Owner
) -> None:
    [card] = (await owner.client.get("/api/v1/billing/payment-methods")).json()["data"]
    await shop.account.control(f"payment_methods/{card['id']}", authentication="always")
    invoice = await issued(operator, owner)
    await shop.service.drain()
    await shop.advance(hours=2)
    (request,) = requests(shop)
    found = await shown(owner, invoice)
    assert (found["status"], found["payment_problem"]) == ("open", "action_required")
    kinds = [kind for kind, _ in await notices(shop, owner)]
    assert len(kinds) == 1
    assert kinds[0] in ("payment_action_required", "payment_failed")
    assert (await timeline(owner))[0]["pay_url"] == request["hosted_invoice_url"]


async def after(shop: Shop, owner: Owner, invoice: dict[str, Any]) -> tuple[str, int, int, int]:
    """Its status, what was paid and remains, and what is owed to the customer as credit."""
    found = (await owner.client.get(f"{INVOICES}/{invoice['id']}")).json()
    rows = await shop.rows("select coalesce(sum(amount), 0) as credit from credit_entries")
    return found["status"], found["amount_paid"], found["amount_remaining"], int(rows[0]["credit"])


async def wrongly_booked(shop: Shop) -> int:
    """What the doctor finds wrong with our invoices."""
    report = await shop.service.services[Doctor].examine()
    return sum(one.violations for one in report.findings if one.check.name.startswith("invoices."))


async def declined(shop: Shop, operator: httpx.AsyncClient, owner: Owner) -> dict[str, Any]:
    """An invoice of 300 that Stripe could not collect yet."""
    await shop.decline_from_now_on()
    for client in (owner.client, operator):
        await staying_signed_in(shop.service, client)
    invoice = await issued(operator, owner)
    await shop.service.drain()
    await shop.deliver()
    return invoice


async def the_card_works(shop: Shop) -> None:
    await shop.decline_from_now_on(None)
    await shop.advance(days=8)


@pytest.mark.parametrize(
    ("action", "body", "ending"),
    [
        ("credit-notes", note(None), ("paid", 0, 0, 0)),
        ("credit-notes", note(100), ("paid", 200, 0, 0)),
    ],
)
async def test_stripe_asks_for_no_more_than_is_left(
    shop: Shop,
    operator: httpx.AsyncClient,
    owner: Owner,
    action: str,
    body: dict[str, Any],
    ending: tuple[str, int, int, int],
) -> None:
    invoice = await declined(shop, operator, owner)
    await act(operator, invoice, action, **body)
    await shop.service.drain()
    await shop.deliver()
    await the_card_works(shop)
    assert await after(shop, owner, invoice) == ending
    rest = [("paid", 200)] if ending[1] else []
    asked = sorted((one["status"], one["amount_due"]) for one in requests(shop))
    assert asked == [*rest, ("void", 300)]
    assert await wrongly_booked(shop) == 0


async def test_what_is_lowered_twice_is_asked_for_once(
    shop: Shop, operator: httpx.AsyncClient, owner: Owner
) -> None:
    invoice = await declined(shop, operator, owner)
    await act(operator, invoice, "mark-paid", amount=100)
    await act(operator, invoice, "mark-paid", amount=50)
    collecting = shop.service.services[InvoiceCollecting]
    named = (owner.organization_id, decode_id("inv", invoice["id"]))
    await asyncio.gather(collecting.stop(*named), collecting.stop(*named))
    await asyncio.gather(collecting.collect(*named), collecting.collect(*named))
    await shop.service.drain()
    await shop.deliver()
    await the_card_works(shop)
    assert await after(shop, owner, invoice) == ("paid", 300, 0, 0)
    assert sorted((one["status"], one["amount_due"]) for one in requests(shop)) == [
        ("paid", 150),
        ("void", 300),
    ]


async def test_what_somebody_voided_at_stripe_is_not_asked_for_anew(
    shop: Shop, operator: httpx.AsyncClient, owner: Owner
) -> None:
    invoice = await declined(shop, operator, owner)
    (request,) = requests(shop)
    await shop.service.services[CollectionGateway].stop(  # type: ignore[type-abstract]
        request["id"], key="by hand"
    )
    await shop.deliver()
    await act(operator, invoice, "mark-paid", amount=100)
    await shop.service.drain()
    assert len(requests(shop)) == 1


@pytest.mark.parametrize(
    ("action", "body", "ending"),
    [
        ("mark-paid", {"amount": 100}, ("paid", 300, 0, 100)),
        ("void", {}, ("void", 0, 0, 300)),
    ],
)
async def test_what_is_paid_too_much_after_all_becomes_credit(
    shop: Shop,
    operator: httpx.AsyncClient,
    owner: Owner,
    action: str,
    body: dict[str, Any],
    ending: tuple[str, int, int, int],
) -> None:
    """The card is charged in the moment in which less is owed."""
    invoice = await declined(shop, operator, owner)
    await shop.decline_from_now_on(None)
    shop.clock.advance(timedelta(days=8))
    await shop.account.control("clock/advance", seconds=0)
    assert [one["status"] for one in requests(shop)] == ["paid"]
    await act(operator, invoice, action, **body)
    await shop.service.drain()
    await shop.deliver()
    await shop.deliver()
    assert await after(shop, owner, invoice) == ending
    assert len(requests(shop)) == 1
    told = await shop.rows("select kind from personal_notices where kind = 'paid_too_much'")
    assert len(told) == 1
    assert await wrongly_booked(shop) == 0


@pytest.mark.parametrize(("balance", "charged"), [(-100, 200), (100, 400)])
async def test_a_balance_at_stripe_settles_it_all_the_same(
    shop: Shop, operator: httpx.AsyncClient, owner: Owner, balance: int, charged: int
) -> None:
    await staying_signed_in(shop.service, owner.client)
    (customer,) = shop.account.find("customer")
    answer = await shop.account.http.post(
        f"/v1/customers/{customer['id']}",
        data={"balance": str(balance)},
        headers={"Authorization": "Bearer sk_test_sandbox"},
    )
    assert answer.status_code == 200, answer.text
    invoice = await issued(operator, owner)
    await shop.service.drain()
    await shop.advance(hours=2)
    (request,) = requests(shop)
    assert (request["status"], request["amount_paid"]) == ("paid", charged)
    assert await after(shop, owner, invoice) == ("paid", 300, 0, 0)
    assert await wrongly_booked(shop) == 0


async def test_a_second_request_that_nobody_knows_of_is_stopped(
    shop: Shop, operator: httpx.AsyncClient, owner: Owner
) -> None:
    """Stripe forgets a key after a day, and makes the same again."""
    invoice = await declined(shop, operator, owner)
    (request,) = requests(shop)
    gateway = shop.service.services[CollectionGateway]  # type: ignore[type-abstract]
    await gateway.collect(
        CollectionOrder(request["customer"], 300, "usd", "Again", invoice["id"]), key="forgotten"
    )
    await shop.deliver()
    await shop.deliver()
    await the_card_works(shop)
    assert sorted(one["status"] for one in requests(shop)) == ["paid", "void"]
    assert await after(shop, owner, invoice) == ("paid", 300, 0, 0)
