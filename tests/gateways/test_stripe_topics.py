"""Payments, metering and set-up over HTTP, and that every request is one Stripe takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import stripe
from sqlalchemy import URL
from stripe.events import (
    V1BillingMeterErrorReportTriggeredEvent,
    V1BillingMeterNoMeterFoundEvent,
)

from app.cli.stripe_setup import EVENTS, THIN_EVENTS
from app.gateways.stripe.connection import StripeConnection
from app.gateways.stripe.errors import StripeMissing, StripeRefused, StripeUnavailable
from app.gateways.stripe.live_credit_notes import LiveCreditNotes
from app.gateways.stripe.live_metering import LiveMetering
from app.gateways.stripe.live_payments import LivePayments
from app.gateways.stripe.live_setup import LiveSetup
from app.gateways.stripe.metering import MeterReport, StripeMeter
from app.gateways.stripe.payments import RefundOrder
from app.gateways.stripe.setup import PortalSpec, PriceSpec, TierSpec
from app.infra.db.unit_of_work import GatewayInsideUnit, UnitOfWork
from app.kernel.clock import ManualClock
from app.kernel.ids import OrganizationId, new_id
from tests.gateways.test_stripe_requests import Recorder, Sent
from tests.support.stripe_account import an_account
from tests.support.stripe_contract import param_problems

KEY = "refund:01a1fda1-c00e-715e-9590-f102b8409108"
NOW = datetime(2026, 11, 21, 9, 0, 30, tzinfo=UTC)
METER = StripeMeter("mtr_1", "tokens_input", "stripe_customer_id", "value", "sum", is_active=True)
ORDER = RefundOrder("ch_1", 500, "duplicate", {"refund_id": "ref_1"})
PRICE = PriceSpec("a:pro:month", "a_pro", "usd", "month", Decimal(9900))
TIERS = (TierSpec(10, Decimal("1.5"), Decimal(0)), TierSpec(None, Decimal(1), Decimal(100)))

PLANS = {"a_pro": ("price_1", "price_2")}

PARAMETERS = {
    "charges.retrieve": "ChargeRetrieveParams",
    "refunds.retrieve": "RefundRetrieveParams",
    "refunds.list": "RefundListParams",
    "refunds.create": "RefundCreateParams",
    "disputes.retrieve": "DisputeRetrieveParams",
    "disputes.list": "DisputeListParams",
    "credit_notes.retrieve": "CreditNoteRetrieveParams",
    "credit_notes.list": "CreditNoteListParams",
    "invoice_payments.list": "InvoicePaymentListParams",
    "payment_intents.retrieve": "PaymentIntentRetrieveParams",
    "prices.retrieve": "PriceRetrieveParams",
    "prices.list": "PriceListParams",
    "prices.create": "PriceCreateParams",
    "products.retrieve": "ProductRetrieveParams",
    "products.create": "ProductCreateParams",
    "products.update": "ProductUpdateParams",
    "billing.meters.retrieve": "billing.MeterRetrieveParams",
    "billing.meters.list": "billing.MeterListParams",
    "billing.meters.create": "billing.MeterCreateParams",
    "billing.meter_events.create": "billing.MeterEventCreateParams",
    "billing.meters.event_summaries.list": "billing.MeterEventSummaryListParams",
    "core.events.retrieve": "v2.core.EventRetrieveParams",
    "webhook_endpoints.list": "WebhookEndpointListParams",
    "webhook_endpoints.create": "WebhookEndpointCreateParams",
    "webhook_endpoints.update": "WebhookEndpointUpdateParams",
    "billing_portal.configurations.list": "billing_portal.ConfigurationListParams",
    "billing_portal.configurations.create": "billing_portal.ConfigurationCreateParams",
    "billing_portal.configurations.update": "billing_portal.ConfigurationUpdateParams",
    "core.event_destinations.list": "v2.core.EventDestinationListParams",
    "core.event_destinations.create": "v2.core.EventDestinationCreateParams",
    "core.event_destinations.update": "v2.core.EventDestinationUpdateParams",
}
KEYED = {"refunds.create", "prices.create", "products.create", "billing.meters.create"}
KEYED |= {"billing.meter_events.create"}

ANSWERS: dict[str, Any] = {
    "list_payments_of": {"data": [{"payment": {"type": "payment_intent", "payment_intent": "pi"}}]},
    "get_price": {"recurring": {"meter": "mtr_1"}},
    "get_product": {"name": "other", "active": True},
    "list_portals": {"data": [{"id": "bpc_1", "metadata": {"made_for": "a", "made_as": "old"}}]},
}
"""What is answered where a second request follows from the first."""


class Talking:
    """As the real connection, but requests are written down and few are answered."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any], Any]] = []
        self.v1 = Recorder(self.requests)
        self.v2 = Recorder(self.requests)

    async def ask(self, call: str, ask: Callable[[], Awaitable[Any]], read: Any) -> Any:
        try:
            await ask()
        except Sent:
            if call == "get_product" and self.product_is_missing:
                raise StripeMissing from None
            if call in ANSWERS:
                return read(ANSWERS[call])
            raise

    product_is_missing = False


def gateways(
    connection: Any,
) -> tuple[LivePayments, LiveMetering, LiveSetup, LiveCreditNotes]:
    return (
        LivePayments(connection),
        LiveMetering(connection),
        LiveSetup(connection),
        LiveCreditNotes(connection),
    )


Call = Callable[[Any], Awaitable[object]]
PAYMENTS: dict[str, Call] = {
    "charge": lambda g: g.get_charge("ch_1"),
    "refund": lambda g: g.get_refund("re_1"),
    "dispute": lambda g: g.get_dispute("dp_1"),
    "refunds": lambda g: g.list_refunds("ch_1"),
    "disputes": lambda g: g.list_disputes("ch_1"),
    "invoice of": lambda g: g.find_invoice_of("pi_1"),
    "charges of": lambda g: g.list_charges_of("in_1"),
    "make a refund": lambda g: g.create_refund(ORDER, key=KEY),
    "without a reason": lambda g: g.create_refund(replace(ORDER, reason=None), key=KEY),
}
METERING: dict[str, Call] = {
    "meter of": lambda g: g.find_meter_of("price_1"),
    "tell": lambda g: g.send(METER, MeterReport("usage:1", "cus_1", Decimal("1.50"), NOW)),
    "take back": lambda g: g.send(METER, MeterReport("usage:2", "cus_1", Decimal(-3), NOW)),
    "sum": lambda g: g.total(METER, "cus_1", NOW, NOW),
    "errors": lambda g: g.get_errors("evt_1"),
}
SETUP: dict[str, Call] = {
    "rename product": lambda g: g.put_product("a_pro", "Pro"),
    "find price": lambda g: g.find_price("a:pro:month"),
    "price": lambda g: g.create_price(PRICE),
    "metered": lambda g: g.create_price(
        replace(PRICE, unit_amount=Decimal("0.0003"), meter_id="mtr_1")
    ),
    "tiered": lambda g: g.create_price(
        replace(PRICE, unit_amount=None, tiers=TIERS, tiers_mode="volume", meter_id="mtr_1")
    ),
    "package": lambda g: g.create_price(replace(PRICE, package_size=1000, meter_id="mtr_1")),
    "find meter": lambda g: g.find_meter("tokens_input"),
    "meter": lambda g: g.create_meter("tokens_input", "Tokens in"),
    "portal": lambda g: g.put_portal(PortalSpec("another", PLANS)),
    "portal as it should be": lambda g: g.put_portal(PortalSpec("a", PLANS)),
    "find endpoint": lambda g: g.find_endpoint("https://a.test/"),
    "endpoint": lambda g: g.create_endpoint(
        "https://a.test/", EVENTS, api_version=stripe.api_version
    ),
    "events": lambda g: g.change_endpoint("we_1", EVENTS),
    "find destination": lambda g: g.find_destination("https://a.test/"),
    "destination": lambda g: g.create_destination("https://a.test/", THIN_EVENTS),
    "thin events": lambda g: g.change_destination("ed_1", THIN_EVENTS),
}
CREDIT_NOTES: dict[str, Call] = {
    "credit note": lambda g: g.get_credit_note("cn_1"),
    "credit notes": lambda g: g.list_credit_notes("in_1"),
}
CALLS = [
    *((0, name, call) for name, call in PAYMENTS.items()),
    *((1, name, call) for name, call in METERING.items()),
    *((2, name, call) for name, call in SETUP.items()),
    *((3, name, call) for name, call in CREDIT_NOTES.items()),
]


@pytest.mark.parametrize(("which", "name", "call"), CALLS, ids=[name for _, name, _ in CALLS])
async def test_a_request_is_one_that_stripe_takes(which: int, name: str, call: Call) -> None:
    connection = Talking()
    with pytest.raises(Sent):
        await call(gateways(connection)[which])
    assert connection.requests
    for path, params, options in connection.requests:
        assert param_problems(PARAMETERS[path], params) == [], path
        assert bool(options.get("idempotency_key")) == (path in KEYED), path


async def test_a_new_product_is_made_under_its_own_id() -> None:
    connection = Talking()
    connection.product_is_missing = True
    with pytest.raises(Sent):
        await gateways(connection)[2].put_product("a_pro", "Pro")
    path, params, _ = connection.requests[-1]
    assert (path, params) == ("products.create", {"id": "a_pro", "name": "Pro"})


async def test_sums_are_asked_for_in_whole_minutes_that_hold_the_stretch() -> None:
    connection = Talking()
    with pytest.raises(Sent):
        await gateways(connection)[1].total(METER, "cus_1", NOW, NOW)
    [(_, params, _)] = connection.requests
    assert params["end_time"] - params["start_time"] == 60
    assert params["start_time"] <= NOW.timestamp() <= params["end_time"]


def test_every_event_is_one_of_the_apis_and_none_is_named_twice() -> None:
    endpoint = {"url": "https://a.test/"}
    assert param_problems(
        "WebhookEndpointCreateParams", {**endpoint, "enabled_events": ["no.such"]}
    )
    assert not param_problems(
        "WebhookEndpointCreateParams", {**endpoint, "enabled_events": list(EVENTS)}
    )
    assert len(EVENTS) == len(set(EVENTS))
    known = (V1BillingMeterErrorReportTriggeredEvent, V1BillingMeterNoMeterFoundEvent)
    assert set(THIN_EVENTS) == {kind.LOOKUP_TYPE for kind in known}


def test_every_call_of_the_gateways_is_here() -> None:
    for kind, calls in ((LivePayments, PAYMENTS), (LiveMetering, METERING), (LiveSetup, SETUP)):
        named = {name for name in vars(kind) if not name.startswith("_")}
        covered = {w for call in calls.values() for w in call.__code__.co_names if w in named}
        assert covered == named


@pytest.mark.parametrize(("which", "name", "call"), CALLS, ids=[name for _, name, _ in CALLS])
async def test_nothing_is_asked_inside_a_unit(
    work: UnitOfWork, which: int, name: str, call: Call
) -> None:
    async with work.begin(OrganizationId(new_id())):
        with pytest.raises(GatewayInsideUnit):
            await call(gateways(Talking())[which])


async def test_refusals_and_failures_are_in_our_words(
    database_url: URL, clock: ManualClock
) -> None:
    async with an_account(clock) as account:
        connection = StripeConnection("sk_test_sandbox", api_base=account.base_url)
        await connection.start()
        payments, metering, *_ = gateways(connection)
        with pytest.raises(StripeMissing):
            await payments.get_charge("ch_nobody")
        with pytest.raises(StripeMissing):
            await payments.create_refund(ORDER, key=KEY)
        meter = await metering.find_meter_of("price_tokens_input")
        assert meter is not None
        assert await metering.find_meter_of("price_starter") is None
        report = MeterReport("usage:1", "cus_nobody", Decimal(1), clock.now())
        assert await metering.send(meter, report)
        account.app.state.sandbox.store.run("delete from replies")
        assert not await metering.send(meter, report), "a repeat is told as one"
        with pytest.raises(StripeRefused) as refused:
            await metering.send(
                replace(meter, event_name="nobodys"), replace(report, identifier="2")
            )
        assert "No meter found" in refused.value.reason
        await account.control("faults", kind="server_error", count=3)
        with pytest.raises(StripeUnavailable):
            await payments.list_refunds("ch_1")
        await connection.stop()
