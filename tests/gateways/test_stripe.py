"""One account, two implementations: what holds in memory holds over HTTP with the real SDK."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

import pytest

from app.gateways.stripe.connection import StripeConnection
from app.gateways.stripe.errors import (
    StripeKeyReused,
    StripeMissing,
    StripeRefused,
)
from app.gateways.stripe.fake import FakePrice, FakeStripe
from app.gateways.stripe.gateway import (
    CheckoutOrder,
    CustomerDetails,
    ItemChange,
    OrderedPrice,
    StripeGateway,
    StripeSubscription,
)
from app.gateways.stripe.live import LiveStripe
from app.infra.db.unit_of_work import GatewayInsideUnit, UnitOfWork
from app.kernel.clock import ManualClock
from app.kernel.ids import new_id
from tests.support.stripe_account import Account, an_account


class Driver(Protocol):
    """The gateway under test, and a hand to press the buttons on its pages."""

    @property
    def stripe(self) -> StripeGateway: ...

    async def pay(self, checkout_id: str, url: str) -> None: ...

    async def decline_cards(self) -> None: ...


@dataclass
class InMemory:
    stripe: FakeStripe

    async def pay(self, checkout_id: str, url: str) -> None:
        self.stripe.pay(checkout_id)

    async def decline_cards(self) -> None:
        self.stripe.cards_decline = True


@dataclass
class OverHttp:
    stripe: LiveStripe
    account: Account

    async def pay(self, checkout_id: str, url: str) -> None:
        await self.account.click(url)

    async def decline_cards(self) -> None:
        for method in self.account.find("payment_method"):
            await self.account.control(
                f"payment_methods/{method['id']}", decline_code="generic_decline"
            )


PRICES = {
    "price_starter": FakePrice(9900),
    "price_professional": FakePrice(29900),
    "price_tokens_input": FakePrice(0, is_metered=True),
}


@pytest.fixture(params=["memory", "http"])
async def driver(request: pytest.FixtureRequest, clock: ManualClock) -> AsyncIterator[Driver]:
    if request.param == "memory":
        yield InMemory(FakeStripe(clock, PRICES))
        return
    async with an_account(clock) as account:
        connection = StripeConnection("sk_test_sandbox", api_base=account.base_url)
        await connection.start()
        yield OverHttp(LiveStripe(connection), account)
        await connection.stop()


def a_key() -> str:
    return f"test:{new_id()}"


async def a_customer(driver: Driver) -> str:
    return await driver.stripe.create_customer(
        CustomerDetails("Ada", "ada@example.com", {"organization_id": "org_1"}), key=a_key()
    )


def an_order(customer_id: str, *prices: str, trial_days: int = 0) -> CheckoutOrder:
    return CheckoutOrder(
        customer_id=customer_id,
        reference="org_1",
        prices=tuple(
            OrderedPrice(price, None if "tokens" in price else 1)
            for price in prices or ("price_starter",)
        ),
        success_url="https://app.test/done?s={CHECKOUT_SESSION_ID}",
        cancel_url="https://app.test/plans",
        trial_days=trial_days,
        metadata={"organization_id": "org_1"},
    )


async def a_subscription(driver: Driver, *prices: str, trial_days: int = 0) -> StripeSubscription:
    customer = await a_customer(driver)
    order = an_order(customer, *prices, trial_days=trial_days)
    checkout = await driver.stripe.create_checkout(order, key=a_key())
    await driver.pay(checkout.id, checkout.url or "")
    paid = await driver.stripe.get_checkout(checkout.id)
    assert paid.subscription_id is not None
    return await driver.stripe.get_subscription(paid.subscription_id)


def prices_of(subscription: StripeSubscription) -> set[str]:
    return {item.price_id for item in subscription.items}


async def test_the_same_key_makes_one_customer(driver: Driver) -> None:
    details, key = CustomerDetails("Ada", "ada@example.com"), a_key()
    first = await driver.stripe.create_customer(details, key=key)
    assert await driver.stripe.create_customer(details, key=key) == first
    assert await driver.stripe.create_customer(details, key=a_key()) != first
    with pytest.raises(StripeKeyReused):
        await driver.stripe.create_customer(CustomerDetails("Bob", None), key=key)


async def test_a_customer_is_found_by_id(driver: Driver) -> None:
    customer = await driver.stripe.get_customer(await a_customer(driver))
    assert (customer.is_deleted, customer.default_payment_method_id) == (False, None)
    with pytest.raises(StripeMissing):
        await driver.stripe.get_customer("cus_nobody")


async def test_a_checkout_is_open_until_it_is_paid(driver: Driver) -> None:
    order, key = an_order(await a_customer(driver)), a_key()
    checkout = await driver.stripe.create_checkout(order, key=key)
    assert checkout.is_open
    assert checkout.url
    assert checkout.metadata["organization_id"] == "org_1"
    assert (await driver.stripe.create_checkout(order, key=key)).id == checkout.id
    await driver.pay(checkout.id, checkout.url)
    paid = await driver.stripe.get_checkout(checkout.id)
    assert (paid.is_complete, paid.payment_status, paid.url) == (True, "paid", None)
    with pytest.raises(StripeRefused):
        await driver.stripe.expire_checkout(checkout.id)


async def test_a_checkout_can_be_closed_once(driver: Driver) -> None:
    order = an_order(await a_customer(driver))
    checkout = await driver.stripe.create_checkout(order, key=a_key())
    assert (await driver.stripe.expire_checkout(checkout.id)).status == "expired"
    with pytest.raises(StripeRefused):
        await driver.stripe.expire_checkout(checkout.id)


async def test_a_checkout_for_nobody_names_the_customer(driver: Driver) -> None:
    with pytest.raises(StripeMissing) as refusal:
        await driver.stripe.create_checkout(an_order("cus_nobody"), key=a_key())
    assert refusal.value.parameter == "customer"


async def test_what_was_bought_is_what_was_ordered(driver: Driver) -> None:
    bought = await a_subscription(driver, "price_starter", "price_tokens_input")
    assert bought.status == "active"
    assert bought.metadata["organization_id"] == "org_1"
    assert prices_of(bought) == {"price_starter", "price_tokens_input"}
    [fee] = bought.licensed
    assert (fee.unit_amount, fee.quantity, fee.interval) == (9900, 1, "month")
    assert bought.period is not None
    assert (bought.period.end - bought.period.start).days == 30
    assert bought.default_payment_method_id


async def test_a_trial_ends_when_it_was_promised(driver: Driver, clock: ManualClock) -> None:
    bought = await a_subscription(driver, trial_days=14)
    assert bought.status == "trialing"
    assert bought.trial_end is not None
    assert (bought.trial_end - clock.now()).days == 14
    assert bought.period is not None
    assert bought.period.end == bought.trial_end


async def test_a_change_that_is_paid_holds_at_once(driver: Driver) -> None:
    before = await a_subscription(driver)
    changes = (
        ItemChange(item_id=before.licensed[0].id, price_id="price_professional", quantity=1),
        ItemChange(price_id="price_tokens_input"),
    )
    preview = await driver.stripe.preview(before.id, changes, is_billed=True)
    assert preview.id is None
    assert preview.amount_due > 0
    after = await driver.stripe.change_items(before.id, changes, is_billed=True, key=a_key())
    assert prices_of(after) == {"price_professional", "price_tokens_input"}
    assert after.pending_update is None
    removal = (
        ItemChange(item_id=next(i.id for i in after.items if i.is_metered), is_removed=True),
    )
    less = await driver.stripe.change_items(before.id, removal, is_billed=False, key=a_key())
    assert prices_of(less) == {"price_professional"}


async def test_a_change_that_is_not_paid_waits(driver: Driver) -> None:
    before = await a_subscription(driver)
    await driver.decline_cards()
    change = ItemChange(item_id=before.licensed[0].id, price_id="price_professional", quantity=1)
    after = await driver.stripe.change_items(before.id, (change,), is_billed=True, key=a_key())
    assert prices_of(after) == {"price_starter"}
    assert after.pending_update is not None
    assert after.pending_update.price_ids == ("price_professional",)
    assert after.open_invoice_url


async def test_a_scheduled_change_can_be_released(driver: Driver) -> None:
    before = await a_subscription(driver, "price_professional")
    scheduled = await driver.stripe.schedule_items(
        before, (OrderedPrice("price_starter"),), key=a_key()
    )
    assert prices_of(scheduled) == {"price_professional"}
    assert scheduled.schedule is not None
    assert scheduled.schedule.is_in_force
    assert before.period is not None
    now, after = scheduled.schedule.phases
    assert (now.ends_at, after.starts_at) == (before.period.end, before.period.end)
    assert after.price_ids == ("price_starter",)
    await driver.stripe.release_schedule(scheduled.schedule.id, key=a_key())
    assert (await driver.stripe.get_subscription(before.id)).schedule is None


async def test_a_cancellation_is_scheduled_and_taken_back(driver: Driver) -> None:
    before = await a_subscription(driver)
    assert before.period is not None
    leaving = await driver.stripe.cancel_at_period_end(before.id, comment="bye", key=a_key())
    assert (leaving.status, leaving.cancel_at) == ("active", before.period.end)
    staying = await driver.stripe.undo_cancellation(leaving, key=a_key())
    assert (staying.cancel_at_period_end, staying.cancel_at) == (False, None)


async def test_what_has_ended_cannot_be_changed(driver: Driver) -> None:
    before = await a_subscription(driver)
    ended = await driver.stripe.cancel_now(before.id, comment=None, key=a_key())
    assert ended.status == "canceled"
    assert ended.ended_at is not None
    with pytest.raises((StripeRefused, StripeMissing)):
        await driver.stripe.cancel_at_period_end(before.id, comment=None, key=a_key())


async def test_cards_codes_and_the_portal(driver: Driver) -> None:
    bought = await a_subscription(driver)
    [method] = await driver.stripe.list_payment_methods(bought.customer_id)
    assert method.card is not None
    assert (method.card.brand, method.card.last4) == ("visa", "4242")
    assert await driver.stripe.find_promotion_code("NONE") is None
    url = await driver.stripe.create_portal(bought.customer_id, return_url="https://app.test/")
    assert url.startswith("http")


async def test_the_renewal_can_be_previewed(driver: Driver) -> None:
    bought = await a_subscription(driver)
    assert (await driver.stripe.preview(bought.id)).total == 9900


async def test_unknown_ids_are_missing(driver: Driver) -> None:
    for ask in (
        driver.stripe.get_subscription("sub_none"),
        driver.stripe.get_invoice("in_none"),
        driver.stripe.get_checkout("cs_none"),
        driver.stripe.preview("sub_none"),
    ):
        with pytest.raises(StripeMissing):
            await ask


async def test_nothing_is_asked_inside_a_unit(driver: Driver, work: UnitOfWork) -> None:
    async with work.begin_platform():
        with pytest.raises(GatewayInsideUnit):
            await driver.stripe.get_subscription("sub_none")
