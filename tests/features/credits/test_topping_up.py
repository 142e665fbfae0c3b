"""Credit is bought by itself: one charge when it is low, and credit once for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import URL, select, text

from app.credits.domain import GrantType, TopUpKind, month_of
from app.credits.invariants import INVARIANTS
from app.credits.models import AutoTopUpSettings, TopUp
from app.credits.repository_top_ups import TopUpRepository
from app.credits.service.ledger import CreditLedger, NewGrant
from app.credits.service.top_ups import TopUpDesk
from app.credits.service.topping_up import ToppingUp
from app.gateways.stripe.errors import StripeUnavailable
from app.gateways.stripe.gateway import StripeInvoice
from app.gateways.stripe.payments import StripeDispute
from app.gateways.stripe.top_ups import Charged, TopUpGateway, TopUpOrder
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import ManualClock
from app.kernel.ids import OrganizationId, new_id
from app.kernel.money import USD, Money
from app.organizations.service import OrganizationService
from app.payments.domain import RefundRequest
from app.payments.service import PaymentMirror, PaymentReports, RefundService
from app.payments.service.bought_credit import BoughtCredit
from tests.conftest import START
from tests.factories.operators import an_operator
from tests.factories.people import Owner, an_owner
from tests.factories.subscriptions import call, subscribed
from tests.features.credits.test_use import draws
from tests.features.usage.test_reservations import reserve
from tests.support import database
from tests.support.long import LONG
from tests.support.service import Service
from tests.support.stripe_account import Shop, a_shop

KEY = {"Authorization": "Bearer sk_test_sandbox"}
SETTINGS = "credits/auto-top-up"
TERMS = {"enabled": True, "threshold": 1000, "amount": 5000, "monthly_cap": 10000}


pytestmark = pytest.mark.xdist_group("topping up")


@pytest.fixture(scope="module")
async def everybody(postgres: URL, database_url: URL) -> AsyncIterator[Shop]:
    """One shop for all tests; each has an organization of its own."""
    name = f"{database.TEMPLATE}_{new_id().hex}"
    url = await database.clone(postgres, name)
    async with a_shop(url, ManualClock(START)) as opened:
        yield opened
    await database.drop(postgres, name)


@pytest.fixture
async def shop(everybody: Shop) -> AsyncIterator[Shop]:
    await everybody.deliver()
    yield everybody
    lose(everybody)
    await everybody.deliver()
    assert await broken(everybody) == []


@pytest.fixture
async def owner(shop: Shop) -> Owner:
    """A customer with a saved card and ten dollars, who is topped up below them."""
    return await topped_up(shop)


async def topped_up(shop: Shop) -> Owner:
    customer = await subscribed(shop)
    await give(shop, customer, 1000)
    await set_terms(customer)
    await shop.service.drain()
    assert invoices(shop, customer) == []
    return customer


async def broken(shop: Shop) -> list[str]:
    given = {"organization_id": None, "now": shop.clock.now()}
    async with shop.service.work.begin_platform() as session:
        return [
            name
            for name, (_, sql) in INVARIANTS.items()
            if (await session.execute(text(sql), given)).all()
        ]


async def give(shop: Shop, owner: Owner, amount: int) -> None:
    await shop.service.services[CreditLedger].grant(
        owner.organization_id, NewGrant(GrantType.PROMOTIONAL, Money(amount, USD)), actor="system"
    )


async def spend(shop: Shop, owner: Owner, amount: int) -> None:
    await shop.service.services[CreditLedger].deduct(
        owner.organization_id, Money(amount, USD), actor="system"
    )


async def set_terms(owner: Owner, **changes: Any) -> dict[str, Any]:
    answer = await call(owner, "PUT", SETTINGS, {**TERMS, **changes})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def settings(owner: Owner) -> dict[str, Any]:
    return dict((await call(owner, "GET", SETTINGS)).json())


async def balance(owner: Owner) -> int:
    return int((await call(owner, "GET", "credits")).json()["balance"])


async def top_ups(owner: Owner) -> list[dict[str, Any]]:
    return list((await call(owner, "GET", "credits/top-ups")).json()["data"])


def invoices(shop: Shop, owner: Owner) -> list[dict[str, Any]]:
    """Stripe's invoices over credit."""
    mine = {
        one["id"]
        for one in shop.account.find("customer")
        if one["metadata"].get("organization_id") == owner.id
    }
    return [
        one
        for one in shop.account.find("invoice")
        if "billing_top_up" in one["metadata"] and one["customer"] in mine
    ]


def charges(shop: Shop, owner: Owner) -> list[dict[str, Any]]:
    """What was taken for them."""
    return [one for one in invoices(shop, owner) if one["status"] == "paid"]


def cards(shop: Shop, owner: Owner) -> list[str]:
    mine = {one["customer"] for one in shop.account.find("subscription")}
    by_owner = {
        one["id"]
        for one in shop.account.find("customer")
        if one["metadata"].get("organization_id") == owner.id
    }
    return [
        one["id"]
        for one in shop.account.find("payment_method")
        if one["customer"] in mine & by_owner
    ]


async def notices(shop: Shop, owner: Owner, kind: str) -> list[dict[str, Any]]:
    return await shop.rows(
        "select facts, subject, state from notices where kind = :kind and channel = 'mail'"
        " and organization_id = :owner order by created_at",
        kind=kind,
        owner=owner.organization_id,
    )


async def rows(shop: Shop, owner: Owner) -> list[dict[str, Any]]:
    return await shop.rows(
        "select id, state, month::text from credit_top_ups where organization_id = :owner"
        " order by created_at, id",
        owner=owner.organization_id,
    )


async def carry_on(shop: Shop, owner: Owner) -> None:
    (found,) = await rows(shop, owner)
    await shop.service.services[TopUpDesk].carry_on(owner.organization_id, found["id"])


def topping_up(shop: Shop) -> ToppingUp:
    return shop.service.services[ToppingUp]


async def test_ten_deductions_at_once_below_the_threshold_make_one_charge(
    shop: Shop, owner: Owner
) -> None:
    await asyncio.gather(*(spend(shop, owner, 50) for _ in range(10)))
    for _ in range(2):
        await asyncio.gather(*(topping_up(shop).consider(owner.organization_id) for _ in range(5)))
    await shop.service.drain()
    await shop.deliver()
    (charge,) = charges(shop, owner)
    assert (charge["total"], charge["amount_paid"]) == (5000, 5000)
    assert await balance(owner) == 500 + 5000
    (bought,) = await top_ups(owner)
    assert (bought["kind"], bought["state"], bought["amount"]) == ("automatic", "paid", 5000)
    assert bought["receipt_url"].endswith(charge["id"])
    (told,) = await notices(shop, owner, "credit_topped_up")
    assert told["subject"] == "Analytical Engines: 50.00 USD of credit bought"
    listed = (await call(owner, "GET", "invoices")).json()["data"]
    assert [one["billing_reason"] for one in listed] == ["subscription_create"]


async def test_nothing_is_bought_at_the_threshold_nor_when_it_is_off(
    shop: Shop, owner: Owner
) -> None:
    await topping_up(shop).sweep()
    assert invoices(shop, owner) == []
    await set_terms(owner, enabled=False)
    await spend(shop, owner, 1000)
    await shop.service.drain()
    await topping_up(shop).sweep()
    assert invoices(shop, owner) == []


class Unreliable:
    """Stripe, of which answers get lost after it has done as it was asked, or everything is."""

    def __init__(self, gateway: TopUpGateway, *losing: str) -> None:
        self._gateway = gateway
        self._losing = losing
        self.calls: list[str] = []

    async def issue(self, order: TopUpOrder, *, key: str) -> StripeInvoice:
        if "everything" in self._losing:
            raise StripeUnavailable
        return self._told("issue", await self._gateway.issue(order, key=key))

    async def charge(self, stripe_invoice_id: str, *, key: str) -> Charged:
        return self._told("charge", await self._gateway.charge(stripe_invoice_id, key=key))

    async def void(self, stripe_invoice_id: str, *, key: str) -> StripeInvoice:
        return self._told("void", await self._gateway.void(stripe_invoice_id, key=key))

    def _told(self, call: str, answer: Any) -> Any:
        self.calls.append(call)
        if call in self._losing:
            raise StripeUnavailable
        return answer


def lose(shop: Shop, *calls: str) -> Unreliable:
    desk = shop.service.services[TopUpDesk]
    gateway = shop.service.services[TopUpGateway]  # type: ignore[type-abstract]
    unreliable = Unreliable(gateway, *calls)
    desk._gateway = unreliable
    return unreliable


@pytest.mark.parametrize(
    ("lost", "heals"),
    [
        ("issue", "the answer"),
        ("charge", "the webhook"),
        pytest.param("issue", "the webhook", marks=LONG),
        pytest.param("charge", "the answer", marks=LONG),
    ],
)
async def test_an_answer_that_is_lost_is_not_paid_twice(
    shop: Shop, owner: Owner, lost: str, heals: str
) -> None:
    lose(shop, lost)
    await spend(shop, owner, 500)
    with pytest.raises(StripeUnavailable):
        await topping_up(shop).consider(owner.organization_id)
    if lost == "issue":
        with pytest.raises(StripeUnavailable):
            await carry_on(shop, owner)
    assert await balance(owner) == 500
    lose(shop)
    if heals == "the webhook":
        await shop.deliver()
    for _ in range(2):
        await topping_up(shop).sweep()
    assert (
        [one["total"] for one in charges(shop, owner)]
        == [5000]
        == [one["total"] for one in invoices(shop, owner)]
    )
    assert await balance(owner) == 5500
    await shop.deliver()
    await shop.deliver()
    assert await balance(owner) == 5500


async def test_the_webhook_that_is_faster_than_the_answer_grants_and_the_answer_does_not(
    shop: Shop, owner: Owner
) -> None:
    gateway = lose(shop)
    charge = gateway.charge

    async def slow(stripe_invoice_id: str, *, key: str) -> Charged:
        charged = await charge(stripe_invoice_id, key=key)
        await shop.deliver()
        assert await balance(owner) == 5500
        return charged

    gateway.charge = slow  # type: ignore[method-assign]
    await spend(shop, owner, 500)
    await topping_up(shop).consider(owner.organization_id)
    assert await balance(owner) == 5500
    assert len(await notices(shop, owner, "credit_topped_up")) == 1


async def test_a_kill_between_the_charge_and_the_grant_is_healed_by_the_sweep(
    shop: Shop, owner: Owner
) -> None:
    lose(shop, "charge")
    await spend(shop, owner, 500)
    with pytest.raises(StripeUnavailable):
        await topping_up(shop).consider(owner.organization_id)
    await shop.account.collect()  # every webhook is lost
    assert (len(charges(shop, owner)), await balance(owner)) == (1, 500)
    lose(shop)
    for _ in range(3):
        await topping_up(shop).sweep()
        await shop.service.drain()
    assert (len(charges(shop, owner)), await balance(owner)) == (1, 5500)


async def test_a_declined_card_gives_nothing_is_told_and_switched_off_after_three(
    shop: Shop, owner: Owner
) -> None:
    await shop.decline_from_now_on()
    await spend(shop, owner, 500)
    await shop.service.drain()
    await shop.deliver()
    for _ in range(3):
        await topping_up(shop).sweep()
    (tried,) = await top_ups(owner)
    assert (tried["state"], tried["trouble"], await balance(owner)) == ("open", "declined", 500)
    (told,) = await notices(shop, owner, "auto_top_up_failed")
    assert told["state"] == "sent"
    assert told["facts"]["pay_url"] == tried["pay_url"]
    for failures in (2, 3):
        await shop.advance(hours=25)
        await topping_up(shop).sweep()
        await topping_up(shop).sweep()
        await shop.deliver()
        found = await settings(owner)
        assert (found["consecutive_failures"], found["enabled"]) == (failures, failures < 3)
    assert found["off_because"] == "declined"
    assert [one["facts"]["is_off"] for one in await notices(shop, owner, "auto_top_up_failed")] == [
        False,
        False,
        True,
    ]
    await shop.advance(hours=25)
    await topping_up(shop).sweep()
    assert {one["status"] for one in invoices(shop, owner)} == {"void"}
    assert len(invoices(shop, owner)) == 3
    assert (await balance(owner), (await settings(owner))["underway"]) == (500, None)


async def test_what_somebody_pays_on_the_page_counts_and_clears_the_failures(
    shop: Shop, owner: Owner
) -> None:
    await shop.decline_from_now_on()
    await spend(shop, owner, 500)
    await shop.service.drain()
    await shop.decline_from_now_on(None)
    (tried,) = await top_ups(owner)
    await shop.account.click(tried["pay_url"])
    await shop.deliver()
    assert await balance(owner) == 5500
    assert (await settings(owner))["consecutive_failures"] == 0


async def test_a_bank_that_asks_its_customer_is_waited_for(shop: Shop, owner: Owner) -> None:
    for method in cards(shop, owner):
        await shop.account.control(f"payment_methods/{method}", authentication="always")
    await spend(shop, owner, 500)
    await shop.service.drain()
    await shop.deliver()
    (tried,) = await top_ups(owner)
    assert (tried["state"], tried["trouble"]) == ("open", "action_required")
    (told,) = await notices(shop, owner, "auto_top_up_failed")
    assert told["facts"]["reason"] == "action_required"
    assert await balance(owner) == 500
    asked = await shop.account.click(tried["pay_url"])
    await shop.account.click(asked.headers["location"], "confirm")
    await shop.deliver()
    assert await balance(owner) == 5500


async def test_a_month_buys_up_to_its_cap_and_the_next_begins_anew(
    shop: Shop, owner: Owner
) -> None:
    for spent in (500, 5000, 5000):
        await spend(shop, owner, spent)
        await shop.service.drain()
        await topping_up(shop).sweep()
    assert len(charges(shop, owner)) == 2
    found = await settings(owner)
    assert (found["bought_this_month"], found["enabled"]) == (10000, True)
    await shop.service.drain()
    (told,) = await notices(shop, owner, "auto_top_up_failed")
    assert told["facts"]["reason"] == "cap_reached"
    this = month_of(shop.clock.now())
    await shop.advance(
        days=(this.replace(day=28) + timedelta(days=5) - shop.clock.now().date()).days
    )
    await topping_up(shop).sweep()
    assert len(charges(shop, owner)) == 3
    assert (await settings(owner))["bought_this_month"] == 5000
    following = month_of(shop.clock.now())
    assert following > this
    months = [one["month"] for one in await rows(shop, owner)]
    assert months == [str(this), str(this), str(following)]


async def test_one_that_is_not_enough_is_followed_by_another(shop: Shop, owner: Owner) -> None:
    await set_terms(owner, threshold=6000)
    await shop.service.drain()
    await shop.service.drain()
    assert (len(charges(shop, owner)), await balance(owner)) == (1, 6000)
    await spend(shop, owner, 6000)
    await set_terms(owner, threshold=6000, monthly_cap=100000)
    for _ in range(4):
        await shop.service.drain()
    assert (len(charges(shop, owner)), await balance(owner)) == (3, 10000)


async def test_a_stripe_that_is_down_is_asked_again_and_charges_once(
    shop: Shop, owner: Owner
) -> None:
    await shop.account.control("faults", kind="server_error", count=6)
    await spend(shop, owner, 500)
    with pytest.raises(StripeUnavailable):
        await topping_up(shop).consider(owner.organization_id)
    await topping_up(shop).sweep()
    assert await balance(owner) == 500
    for _ in range(2):
        await topping_up(shop).sweep()
    assert (len(charges(shop, owner)), await balance(owner)) == (1, 5500)


@pytest.mark.parametrize("was_made", [True, pytest.param(False, marks=LONG)])
async def test_a_key_that_stripe_has_forgotten_is_not_used_again(
    shop: Shop, owner: Owner, was_made: bool
) -> None:
    lose(shop, "issue" if was_made else "everything")
    await spend(shop, owner, 500)
    with pytest.raises(StripeUnavailable):
        await topping_up(shop).consider(owner.organization_id)
    await shop.account.collect()
    stripe = lose(shop)
    shop.clock.advance(timedelta(hours=30))
    await carry_on(shop, owner)
    assert "issue" not in stripe.calls
    await topping_up(shop).sweep()
    await shop.service.drain()
    # Given up, it is tried anew under another key.
    states = [one["state"] for one in await rows(shop, owner)]
    assert states == (["paid"] if was_made else ["void", "paid"])
    assert (len(invoices(shop, owner)), await balance(owner)) == (1, 5500)


async def test_a_debit_that_takes_days_is_waited_for(shop: Shop, owner: Owner) -> None:
    [old] = cards(shop, owner)
    [buyer] = {one["customer"] for one in shop.account.find("payment_method", id=old)}
    saved = await stripe_post(
        shop, "payment_methods/pm_usBankAccount_success/attach", customer=buyer
    )
    for bought in shop.account.find("subscription", customer=buyer):
        await stripe_post(shop, f"subscriptions/{bought['id']}", default_payment_method=saved["id"])
    await shop.deliver()
    await spend(shop, owner, 500)
    await shop.service.drain()
    await shop.advance(hours=26)
    for _ in range(2):
        await topping_up(shop).sweep()
    (waiting,) = await top_ups(owner)
    assert (waiting["state"], waiting["trouble"], await balance(owner)) == ("open", None, 500)
    assert (await call(owner, "POST", f"credits/top-ups/{waiting['id']}/cancel")).status_code == 409
    for _ in range(5):
        await shop.advance(days=1)
    assert (await balance(owner), len(invoices(shop, owner))) == (5500, 1)


async def stripe_post(shop: Shop, path: str, **form: str) -> dict[str, Any]:
    answer = await shop.account.http.post(f"/v1/{path}", data=form, headers=KEY)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


class Unlocked(TopUpRepository):
    """Reads the settings and holds nothing; all see that nothing is underway before any goes on."""

    def __init__(self, work: UnitOfWork, parties: int) -> None:
        super().__init__(work)
        self._together = asyncio.Barrier(parties)

    async def claim_settings(self, organization_id: OrganizationId) -> AutoTopUpSettings | None:
        return await self.session.scalar(
            select(AutoTopUpSettings).where(AutoTopUpSettings.organization_id == organization_id)
        )

    async def find_underway(self, organization_id: OrganizationId, kind: TopUpKind) -> TopUp | None:
        found = await super().find_underway(organization_id, kind)
        async with asyncio.timeout(30):
            await self._together.wait()
        return found


async def test_it_is_the_constraint_that_lets_one_be_underway(shop: Shop) -> None:
    honest, parties = topping_up(shop)._top_ups, 3
    (constraint,) = await shop.rows(
        "select indexdef from pg_indexes where indexname = 'uq_credit_top_ups_underway'"
    )
    try:
        for is_constrained in (True, False):
            owner = await topped_up(shop)
            async with shop.service.work.begin_platform() as session:
                if not is_constrained:
                    await session.execute(text("drop index uq_credit_top_ups_underway"))
            await spend(shop, owner, 500)
            topping_up(shop)._top_ups = Unlocked(shop.service.work, parties)
            await asyncio.gather(
                *(topping_up(shop).consider(owner.organization_id) for _ in range(parties)),
                return_exceptions=True,
            )
            topping_up(shop)._top_ups = honest
            assert len(await rows(shop, owner)) == (1 if is_constrained else parties)
            assert (await balance(owner) == 5500) is is_constrained
        assert "credits.top_ups_keep_to_the_cap" in await broken(shop)
    finally:
        topping_up(shop)._top_ups = honest
        async with shop.service.work.begin_platform() as session:
            await session.execute(
                text("update credit_top_ups set monthly_cap = 1000000 where kind = 'automatic'")
            )
            await session.execute(text("drop index if exists uq_credit_top_ups_underway"))
            await session.execute(text(constraint["indexdef"]))


async def test_nothing_is_charged_while_the_organization_is_suspended(
    shop: Shop, owner: Owner
) -> None:
    organizations = shop.service.services[OrganizationService]
    await organizations.suspend(owner.organization_id, "test")
    await spend(shop, owner, 500)
    await shop.service.drain()
    await topping_up(shop).sweep()
    assert invoices(shop, owner) == []
    await organizations.restore(owner.organization_id, "test")
    lose(shop, "everything")
    with pytest.raises(StripeUnavailable):
        await topping_up(shop).consider(owner.organization_id)
    lose(shop)
    await organizations.suspend(owner.organization_id, "test")
    await topping_up(shop).sweep()
    assert charges(shop, owner) == [], "what was reserved before is not charged either"
    await organizations.restore(owner.organization_id, "test")
    await topping_up(shop).sweep()
    await shop.deliver()
    assert [one["amount_paid"] for one in charges(shop, owner)] == [5000]


async def test_what_calls_hold_of_credit_counts_as_spent(shop: Shop, owner: Owner) -> None:
    await draws(shop.service, owner)
    await shop.service.drain()
    assert invoices(shop, owner) == []
    assert (await reserve(owner, estimated_cost_usd="1")).status_code == 201
    await topping_up(shop).sweep()
    assert [one["amount_paid"] for one in charges(shop, owner)] == [5000]


async def test_it_needs_something_to_charge(shop: Shop) -> None:
    newcomer = await an_owner(shop.service)
    assert await settings(newcomer) == {
        "enabled": False,
        "currency": None,
        "threshold": None,
        "amount": None,
        "monthly_cap": None,
        "bought_this_month": 0,
        "consecutive_failures": 0,
        "off_because": None,
        "underway": None,
    }
    refused = await call(newcomer, "PUT", SETTINGS, TERMS)
    assert (refused.status_code, refused.json()["code"]) == (402, "payment_method_required")


async def test_without_stripe_it_says_so(service: Service) -> None:
    owner = await an_owner(service)
    for answer in (
        await call(owner, "PUT", SETTINGS, TERMS),
        await call(owner, "POST", "credits/top-up", {"amount": 2500}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (503, "stripe_not_configured")


async def test_without_anything_to_charge_any_more_it_is_switched_off(
    shop: Shop, owner: Owner
) -> None:
    for method in cards(shop, owner):
        await stripe_post(shop, f"payment_methods/{method}/detach")
    await spend(shop, owner, 500)
    await shop.service.drain()
    await shop.service.drain()
    found = await settings(owner)
    assert (found["enabled"], found["off_because"]) == (False, "no_payment_method")
    (told,) = await notices(shop, owner, "auto_top_up_failed")
    assert told["state"] == "sent"
    assert invoices(shop, owner) == []


async def test_terms_that_make_no_sense_are_refused(shop: Shop) -> None:
    owner = await an_owner(shop.service)
    for changes, code in (
        ({"amount": 0}, "validation_failed"),
        ({"amount": 5000, "monthly_cap": 4999}, "validation_failed"),
        ({"threshold": -1}, "validation_failed"),
        ({"amount": None}, "validation_failed"),
        ({"amount": 49}, "top_up_too_small"),
        ({"amount": 1499, "currency": "czk"}, "top_up_too_small"),
        ({"amount": 49, "currency": "krw"}, "top_up_too_small"),
    ):
        answer = await call(owner, "PUT", SETTINGS, {**TERMS, **changes})
        assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text


async def test_credit_is_bought_on_a_page(shop: Shop) -> None:
    owner = await an_owner(shop.service)
    answer = await call(owner, "POST", "credits/top-up", {"amount": 2500})
    assert answer.status_code == 201, answer.text
    bought = answer.json()
    assert (bought["kind"], bought["state"]) == ("manual", "open")
    again = await call(owner, "POST", "credits/top-up", {"amount": 2500})
    assert again.json() == bought
    other = await call(owner, "POST", "credits/top-up", {"amount": 9900})
    assert (other.status_code, other.json()["code"]) == (409, "top_up_underway")
    assert other.json()["pay_url"] == bought["pay_url"]
    assert await balance(owner) == 0
    await shop.account.click(bought["pay_url"], card="visa")
    await shop.deliver()
    await shop.deliver()
    assert await balance(owner) == 2500
    (found,) = await top_ups(owner)
    assert (found["state"], found["pay_url"]) == ("paid", None)
    too_late = await call(owner, "POST", f"credits/top-ups/{found['id']}/cancel")
    assert too_late.json()["code"] == "top_up_over"


async def test_a_page_that_nobody_pays_is_canceled_or_runs_out(shop: Shop) -> None:
    owner = await an_owner(shop.service)
    first = (await call(owner, "POST", "credits/top-up", {"amount": 2500})).json()
    canceled = await call(owner, "POST", f"credits/top-ups/{first['id']}/cancel")
    assert (canceled.json()["state"], canceled.json()["trouble"]) == ("void", "canceled")
    second = (await call(owner, "POST", "credits/top-up", {"amount": 9900})).json()
    await shop.advance(hours=23)
    await topping_up(shop).sweep()
    assert (await top_ups(owner))[0]["state"] == "open"
    await shop.advance(hours=2)
    await topping_up(shop).sweep()
    stands = (await call(owner, "GET", f"credits/top-ups/{second['id']}")).json()
    assert (stands["state"], stands["trouble"]) == ("void", "unpaid")
    await shop.deliver()
    assert {one["status"] for one in invoices(shop, owner)} == {"void"}
    assert await balance(owner) == 0


async def bought_for(shop: Shop, amount: int) -> tuple[Owner, str]:
    """Somebody who has bought credit, and the charge that paid it."""
    owner = await an_owner(shop.service)
    known = {one["id"] for one in shop.account.find("charge")}
    page = (await call(owner, "POST", "credits/top-up", {"amount": amount})).json()["pay_url"]
    await shop.account.click(page, card="visa")
    await shop.deliver()
    (charge,) = [one["id"] for one in shop.account.find("charge") if one["id"] not in known]
    assert await balance(owner) == amount
    return owner, charge


async def told_operators(shop: Shop) -> list[int]:
    found = await shop.rows(
        "select facts from personal_notices where kind = 'credit_not_taken_back'"
    )
    return [one["facts"]["amount"] for one in found]


async def test_credit_whose_payment_is_refunded_is_taken_back_as_far_as_it_is_there(
    shop: Shop,
) -> None:
    await an_operator(shop.service)
    owner, charge = await bought_for(shop, 2500)
    await give(shop, owner, 700)
    refunds = shop.service.services[RefundService]
    asked = RefundRequest(reason="requested_by_customer", stripe_charge_id=charge, amount=1000)
    await refunds.make(asked, actor="test")
    await shop.deliver()
    await shop.deliver()
    assert await balance(owner) == 1500 + 700
    await spend(shop, owner, 1200)  # what was given goes first
    rest = RefundRequest(reason="requested_by_customer", stripe_charge_id=charge)
    made = await refunds.make(rest, actor="test")
    await shop.deliver()
    await shop.service.drain()
    assert await balance(owner) == 0
    told = await told_operators(shop)
    assert set(told) == {500}
    follow = shop.service.services[BoughtCredit].follow_refund
    await follow(owner.organization_id, made.id)
    await shop.deliver()
    assert await told_operators(shop) == told
    async with shop.service.work.begin(owner.organization_id) as session:
        await session.execute(
            text("update refunds set status = 'failed' where id = :id"), {"id": made.id}
        )
    await follow(owner.organization_id, made.id)
    await follow(owner.organization_id, made.id)
    assert await balance(owner) == 1000


async def test_an_automatic_top_up_that_is_refunded_is_not_bought_again_until_somebody_says_so(
    shop: Shop, owner: Owner
) -> None:
    await spend(shop, owner, 500)
    await shop.service.drain()
    (paid,) = charges(shop, owner)
    shop.clock.advance(minutes=1)
    await shop.deliver()
    (charge,) = await shop.rows(
        "select stripe_charge_id from charges where stripe_invoice_id = :id", id=paid["id"]
    )
    asked = RefundRequest(reason="requested_by_customer", **charge)
    made = await shop.service.services[RefundService].make(asked, actor="test")
    for _ in range(2):
        await shop.deliver()
        await topping_up(shop).sweep()
    assert (len(charges(shop, owner)), await balance(owner)) == (1, 500)
    found = await settings(owner)
    assert (found["enabled"], found["off_because"]) == (False, "sent_back")
    assert found["bought_this_month"] == 5000
    (told,) = await notices(shop, owner, "auto_top_up_failed")
    assert (told["facts"]["is_off"], told["state"]) == (True, "sent")
    assert told["subject"].endswith("credit is not bought by itself any more")
    shop.clock.advance(minutes=1)
    await set_terms(owner)
    await shop.deliver()
    assert (len(charges(shop, owner)), await balance(owner)) == (2, 5500)
    # The same news again, as a job that is repeated brings it.
    await shop.service.services[BoughtCredit].follow_refund(owner.organization_id, made.id)
    assert (await settings(owner))["enabled"]


async def test_credit_whose_payment_is_lost_in_a_dispute_is_taken_back_until_it_is_won(
    shop: Shop,
) -> None:
    owner, charge = await bought_for(shop, 2500)
    told = await told_operators(shop)
    withdrawn = shop.clock.now()
    states = (("needs_response", 2500), ("lost", 0), ("lost", 0), ("won", 2500), ("won", 2500))
    for status, left in states:
        report = await shop.service.services[PaymentReports].of_charge(charge)
        dispute = StripeDispute(
            id=f"dp_{owner.id}",
            charge_id=charge,
            amount=2500,
            currency="usd",
            reason="fraudulent",
            status=status,
            is_charge_refundable=False,
            respond_by=None,
            created_at=shop.clock.now(),
            withdrawn_at=withdrawn,
            reinstated_at=shop.clock.now() if status == "won" else None,
        )
        mirror = shop.service.services[PaymentMirror]
        await mirror.take(owner.organization_id, replace(report, disputes=(dispute,)))
        await shop.service.drain()
        assert await balance(owner) == left
        # Until it is lost the credit is there, and nothing of it is paid; then neither; once it
        # is won both.
        shop.clock.advance(timedelta(seconds=1))
        (account,) = (await owner.client.get("/api/v1/billing/statement")).json()["accounts"]
        assert account["account"]["closing_balance"] == (0 if status == "won" else left)
        assert account["prepaid_credit"]["closing_balance"] == left
    assert await told_operators(shop) == told
