"""Every request that we send is one that Stripe's pinned version takes, and carries our key.

Types are checked statically too, but the SDK writes its enums as `Literal[...] | str`; here they
are held to the words.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.gateways.stripe.fake import FakePrice, FakeStripe
from app.gateways.stripe.gateway import (
    CheckoutOrder,
    CustomerDetails,
    ItemChange,
    OrderedPrice,
    StripeSubscription,
)
from app.gateways.stripe.live import LiveStripe
from app.kernel.clock import ManualClock
from tests.support.stripe_contract import param_problems

KEY = "change:01a1fda1-c00e-715e-9590-f102b8409108"


class Sent(Exception):
    """The request has been written down; there is nobody to answer it."""


@dataclass
class Recorder:
    """Stands where the SDK's client stands and writes down what it is asked for."""

    requests: list[tuple[str, dict[str, Any], Mapping[str, Any]]] = field(default_factory=list)
    path: str = ""

    def __getattr__(self, name: str) -> Recorder:
        return Recorder(self.requests, f"{self.path}.{name}".strip("."))

    async def __call__(self, *arguments: Any) -> Any:
        ids = [one for one in arguments if isinstance(one, str)]
        params, options = [
            *(one or {} for one in arguments[len(ids) :]),
            {},
            {},
        ][:2]
        self.requests.append((self.path.removesuffix("_async"), params, options))
        raise Sent


RUNNING = {
    "start_date": 1_795_251_600,
    "end_date": 1_797_843_600,
    "discounts": [{"coupon": None, "discount": "di_1", "promotion_code": None}],
}


@dataclass
class Connection:
    """As the real one, but a schedule's steps are answered, so that the next is taken."""

    v1: Recorder = field(default_factory=Recorder)

    async def ask(self, call: str, ask: Callable[[], Awaitable[Any]], read: Any) -> Any:
        try:
            await ask()
        except Sent:
            if call in {"create_schedule", "update_schedule"}:
                return read({"id": "sub_sched_1", "phases": [RUNNING]})
            raise


PARAMETERS = {
    "customers.create": "CustomerCreateParams",
    "customers.retrieve": "CustomerRetrieveParams",
    "customers.payment_methods.list": "CustomerPaymentMethodListParams",
    "checkout.sessions.create": "checkout.SessionCreateParams",
    "checkout.sessions.retrieve": "checkout.SessionRetrieveParams",
    "checkout.sessions.expire": "checkout.SessionExpireParams",
    "billing_portal.sessions.create": "billing_portal.SessionCreateParams",
    "subscriptions.retrieve": "SubscriptionRetrieveParams",
    "subscriptions.update": "SubscriptionUpdateParams",
    "subscriptions.cancel": "SubscriptionCancelParams",
    "subscriptions.resume": "SubscriptionResumeParams",
    "subscription_schedules.create": "SubscriptionScheduleCreateParams",
    "subscription_schedules.update": "SubscriptionScheduleUpdateParams",
    "subscription_schedules.release": "SubscriptionScheduleReleaseParams",
    "invoices.create_preview": "InvoiceCreatePreviewParams",
    "invoices.retrieve": "InvoiceRetrieveParams",
    "promotion_codes.list": "PromotionCodeListParams",
}
READS = {"retrieve", "list", "create_preview", "expire"}
WITHOUT_KEY = {"billing_portal.sessions.create"}
"""A portal session is a link that lives for minutes; two of them harm nobody."""


def an_order(**changes: Any) -> CheckoutOrder:
    values: dict[str, Any] = {
        "customer_id": "cus_1",
        "reference": "org_1",
        "prices": (OrderedPrice("price_plan"), OrderedPrice("price_metered", None)),
        "success_url": "https://app.test/done",
        "cancel_url": "https://app.test/plans",
        "metadata": {"organization_id": "org_1"},
        **changes,
    }
    return CheckoutOrder(**values)


@pytest.fixture
async def bought(clock: ManualClock) -> StripeSubscription:
    account = FakeStripe(
        clock, {"price_plan": FakePrice(100), "price_metered": FakePrice(0, is_metered=True)}
    )
    customer = await account.create_customer(CustomerDetails("Ada", None), key="1")
    page = await account.create_checkout(an_order(customer_id=customer), key="2")
    return account.pay(page.id)


CHANGES = (
    ItemChange(item_id="si_1", price_id="price_other", quantity=1),
    ItemChange(item_id="si_2", is_removed=True),
    ItemChange(price_id="price_metered"),
)
Call = Callable[[LiveStripe, StripeSubscription], Awaitable[object]]
CALLS: dict[str, Call] = {
    "customer": lambda s, _: s.create_customer(
        CustomerDetails("A", "a@b.test", {"o": "1"}), key=KEY
    ),
    "customer without mail": lambda s, _: s.create_customer(CustomerDetails("A", None), key=KEY),
    "get customer": lambda s, _: s.get_customer("cus_1"),
    "checkout": lambda s, _: s.create_checkout(an_order(), key=KEY),
    "trial": lambda s, _: s.create_checkout(an_order(trial_days=14), key=KEY),
    "promotion": lambda s, _: s.create_checkout(an_order(promotion_code_id="promo_1"), key=KEY),
    "get checkout": lambda s, _: s.get_checkout("cs_1"),
    "expire checkout": lambda s, _: s.expire_checkout("cs_1"),
    "portal": lambda s, _: s.create_portal("cus_1", return_url="https://app.test/"),
    "get subscription": lambda s, _: s.get_subscription("sub_1"),
    "upgrade": lambda s, _: s.change_items("sub_1", CHANGES, is_billed=True, key=KEY),
    "change in trial": lambda s, _: s.change_items("sub_1", CHANGES, is_billed=False, key=KEY),
    "downgrade": lambda s, b: s.schedule_items(b, (OrderedPrice("price_less"),), key=KEY),
    "release": lambda s, _: s.release_schedule("sub_sched_1", key=KEY),
    "cancel": lambda s, _: s.cancel_at_period_end("sub_1", comment="why", key=KEY),
    "cancel now": lambda s, _: s.cancel_now("sub_1", comment="why", key=KEY),
    "undo": lambda s, b: s.undo_cancellation(b, key=KEY),
    "resume": lambda s, _: s.resume_paused("sub_1", key=KEY),
    "collect again": lambda s, _: s.resume_collection("sub_1", key=KEY),
    "preview": lambda s, _: s.preview("sub_1", CHANGES, is_billed=True),
    "preview of the renewal": lambda s, _: s.preview("sub_1"),
    "get invoice": lambda s, _: s.get_invoice("in_1"),
    "payment methods": lambda s, _: s.list_payment_methods("cus_1"),
    "promotion code": lambda s, _: s.find_promotion_code("SPRING"),
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_request_is_one_that_stripe_takes(name: str, bought: StripeSubscription) -> None:
    connection = Connection()
    stripe = LiveStripe(connection)  # type: ignore[arg-type]
    with pytest.raises(Sent):
        await CALLS[name](stripe, bought)
    assert connection.v1.requests
    for path, params, options in connection.v1.requests:
        assert param_problems(PARAMETERS[path], params) == [], path
        if path.rpartition(".")[2] not in READS and path not in WITHOUT_KEY:
            assert str(options["idempotency_key"]).startswith(KEY), path
    keys = [options.get("idempotency_key") for _, _, options in connection.v1.requests]
    used = [key for key in keys if key is not None]
    assert len(used) == len(set(used)), "two requests of one call never share a key"


async def test_a_downgrade_keeps_the_running_phase_and_its_discounts(
    bought: StripeSubscription,
) -> None:
    connection = Connection()
    stripe = LiveStripe(connection)  # type: ignore[arg-type]
    with pytest.raises(Sent):
        await CALLS["downgrade"](stripe, bought)
    [phases] = [params["phases"] for _, params, _ in connection.v1.requests if "phases" in params]
    now, after = phases
    assert (now["start_date"], now["end_date"]) == (RUNNING["start_date"], RUNNING["end_date"])
    assert now["items"] == [{"price": "price_plan", "quantity": 1}, {"price": "price_metered"}]
    assert now["discounts"] == after["discounts"] == [{"discount": "di_1"}]
    assert after["items"] == [{"price": "price_less", "quantity": 1}]


def test_the_check_sees_a_slip() -> None:
    slips = {"mode": "subscription", "subscription_data": {"trail_days": 14}}
    assert param_problems("checkout.SessionCreateParams", slips)
    assert param_problems("SubscriptionUpdateParams", {"billing_cycle_anchor": "now"})
    assert param_problems("SubscriptionUpdateParams", {"proration_behavior": "always"})


def test_every_call_of_the_gateway_is_here() -> None:
    named = {name for name in vars(LiveStripe) if not name.startswith("_")}
    named -= {"require_configured"}
    covered = {word for call in CALLS.values() for word in call.__code__.co_names if word in named}
    assert covered == named


async def test_a_portal_is_opened_with_the_configuration_that_was_set() -> None:
    connection: Any = Connection()
    live = LiveStripe(connection, portal_configuration="bpc_1")
    with pytest.raises(Sent):
        await live.create_portal("cus_1", return_url="https://app.test/")
    [(path, params, _)] = connection.v1.requests
    assert param_problems(PARAMETERS[path], params) == []
    assert params["configuration"] == "bpc_1"
