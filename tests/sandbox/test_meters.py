"""Meters: usage counts once, in time, for whom it was told; and what it adds up to."""

import json
from decimal import Decimal
from typing import Any

import pytest
import stripe

from app.sandbox.billing import amounts, metering
from tests.sandbox.conftest import Account
from tests.support import stripe_contract as contract

NOW = 1772366400
"""Noon of the first day of March, when every account of these tests begins."""


async def _meter(account: Account, formula: Any = "sum") -> Any:
    return await account.stripe.v1.billing.meters.create_async(
        {
            "display_name": "Pages",
            "event_name": "pages",
            "default_aggregation": {"formula": formula},
        }
    )


async def _tell(account: Account, customer: str, value: str = "5", **more: Any) -> Any:
    params: Any = {
        "event_name": "pages",
        "payload": {"stripe_customer_id": customer, "value": value},
        **more,
    }
    return await account.stripe.v1.billing.meter_events.create_async(params)


async def _used(account: Account, meter: Any, customer: str, **more: Any) -> list[Any]:
    params: Any = {
        "customer": customer,
        "start_time": NOW - 86_400,
        "end_time": NOW + 86_400,
        **more,
    }
    page = await account.stripe.v1.billing.meters.event_summaries.list_async(meter.id, params)
    return [summary async for summary in page.auto_paging_iter()]


async def _reports(account: Account) -> list[dict[str, Any]]:
    """The thin events that arrived, as the real SDK reads them."""
    while await account.app.state.deliverer.deliver_due():
        pass
    return [json.loads(body) for _, body, _ in account.mailbox.received]


async def test_usage_is_told_once_under_one_identifier(account: Account) -> None:
    meter, customer = await _meter(account), await account.customer()
    first = await _tell(account, customer.id, identifier="usage:1")
    assert (first.identifier, first.timestamp) == ("usage:1", NOW)
    with pytest.raises(stripe.InvalidRequestError, match="already exists with identifier usage:1"):
        await _tell(account, customer.id, value="900", identifier="usage:1")
    [summary] = await _used(account, meter, customer.id)
    assert summary.aggregated_value == 5
    await account.advance(hours=25)
    await _tell(account, customer.id, identifier="usage:1")
    [summary] = await _used(account, meter, customer.id, end_time=NOW + 2 * 86_400)
    assert summary.aggregated_value == 10


@pytest.mark.parametrize(
    ("age", "sentence"),
    [(35 * 86_400 + 1, "35 calendar days"), (-301, "5 minutes in the future")],
)
async def test_usage_is_told_in_time(account: Account, age: int, sentence: str) -> None:
    await _meter(account)
    customer = await account.customer()
    with pytest.raises(stripe.InvalidRequestError, match=sentence):
        await _tell(account, customer.id, timestamp=NOW - age)
    await _tell(account, customer.id, timestamp=NOW - 35 * 86_400)
    await _tell(account, customer.id, timestamp=NOW + 300)


async def test_a_name_that_no_meter_has_is_refused(account: Account) -> None:
    customer = await account.customer()
    with pytest.raises(stripe.InvalidRequestError, match="No meter found"):
        await _tell(account, customer.id)


async def test_summaries_stand_on_whole_minutes_and_windows(account: Account) -> None:
    meter, customer = await _meter(account), await account.customer()
    for hour, value in ((0, "1.5"), (0, "2"), (3, "4")):
        await _tell(account, customer.id, value, timestamp=NOW - 7_200 - hour * 3_600)
    whole = {"start_time": NOW - 43_200, "end_time": NOW + 43_200}
    hours = await _used(account, meter, customer.id, value_grouping_window="hour", limit=1, **whole)
    assert [(one.start_time, one.aggregated_value) for one in hours] == [
        (NOW - 7_200, 3.5),
        (NOW - 18_000, 4),
    ]
    [day] = await _used(account, meter, customer.id, value_grouping_window="day", **whole)
    assert (day.aggregated_value, day.end_time - day.start_time) == (7.5, 86_400)
    for bad in (
        {"start_time": NOW - 30},
        {"start_time": NOW - 60, "value_grouping_window": "hour"},
        {"start_time": NOW - 3_600, "value_grouping_window": "day"},
    ):
        with pytest.raises(stripe.InvalidRequestError, match="aligned"):
            await _used(account, meter, customer.id, **bad)


async def test_usage_of_others_and_other_times_is_not_counted(account: Account) -> None:
    meter, one, other = await _meter(account), await account.customer(), await account.customer()
    await _tell(account, one.id, "1", timestamp=NOW - 60)
    await _tell(account, one.id, "2", timestamp=NOW)
    await _tell(account, other.id, "4", timestamp=NOW - 60)
    [summary] = await _used(account, meter, one.id, start_time=NOW - 60, end_time=NOW)
    assert summary.aggregated_value == 1
    sandbox = account.app.state.sandbox
    with sandbox.unit():
        assert metering.usage_of(sandbox, one.id, meter.id, NOW, NOW + 60) == Decimal(2)


@pytest.mark.parametrize(("formula", "expected"), [("sum", 9), ("count", 3), ("last", 3)])
async def test_each_way_to_add_up(account: Account, formula: str, expected: int) -> None:
    meter, customer = await _meter(account, formula), await account.customer()
    for age, value in ((60, "3"), (120, "4"), (180, "2")):
        await _tell(account, customer.id, value, timestamp=NOW - age)
    [summary] = await _used(account, meter, customer.id)
    assert summary.aggregated_value == expected


async def test_a_summary_may_lag(account: Account) -> None:
    meter, customer = await _meter(account), await account.customer()
    await account.control("meters", lag_seconds=90)
    await _tell(account, customer.id)
    assert (await _used(account, meter, customer.id))[0].aggregated_value == 0
    await account.advance(seconds=90)
    assert (await _used(account, meter, customer.id))[0].aggregated_value == 5


async def test_an_event_can_be_taken_back_for_a_day(account: Account) -> None:
    meter, customer = await _meter(account), await account.customer()
    adjustments = account.stripe.v1.billing.meter_event_adjustments
    for name in ("early", "late"):
        await _tell(account, customer.id, identifier=name)
    cancel: Any = {"event_name": "pages", "type": "cancel", "cancel": {"identifier": "early"}}
    late: Any = {**cancel, "cancel": {"identifier": "late"}}
    assert (await adjustments.create_async(cancel)).status == "complete"
    with pytest.raises(stripe.InvalidRequestError):
        await adjustments.create_async(cancel)
    await account.advance(hours=25)
    with pytest.raises(stripe.InvalidRequestError):
        await adjustments.create_async(late)
    assert (await _used(account, meter, customer.id))[0].aggregated_value == 5


async def test_a_meter_is_put_down_and_taken_up_again(account: Account) -> None:
    meters = account.stripe.v1.billing.meters
    meter = await _meter(account)
    with pytest.raises(stripe.InvalidRequestError, match="already an active meter"):
        await _meter(account)
    assert (await meters.deactivate_async(meter.id)).status == "inactive"
    second = await _meter(account)
    with pytest.raises(stripe.InvalidRequestError, match="already an active meter"):
        await meters.reactivate_async(meter.id)
    await meters.deactivate_async(second.id)
    assert (await meters.reactivate_async(meter.id)).status == "active"
    listed = await meters.list_async({"status": "inactive"})
    assert [one.id for one in listed.data] == [second.id]
    renamed = await meters.update_async(meter.id, {"display_name": "Sheets"})
    assert renamed.display_name == "Sheets"


async def test_what_is_wrong_with_usage_is_told_in_a_thin_event(account: Account) -> None:
    meter, customer = await _meter(account), await account.customer()
    await account.control(
        "webhook_endpoints", url="https://a.test/", secret="whsec_a",
        enabled_events=["v1.billing.meter.error_report_triggered"],
    )  # fmt: skip
    gone = await account.customer()
    await account.stripe.v1.customers.delete_async(gone.id)
    await _tell(account, gone.id, identifier="gone")
    await _tell(account, customer.id, "many", identifier="text")
    await account.stripe.v1.billing.meters.deactivate_async(meter.id)
    await _tell(account, customer.id, identifier="off")
    [summary] = await _used(account, meter, customer.id)
    assert summary.aggregated_value == 0
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        await _tell(account, customer.id, identifier="text")
    expected = {
        "gone": "meter_event_customer_not_found",
        "text": "meter_event_invalid_value",
        "off": "archived_meter",
    }
    found = {}
    for sent, (_, body, headers) in zip(
        await _reports(account), account.mailbox.received, strict=True
    ):
        notification: Any = account.stripe.parse_event_notification(
            body, headers["Stripe-Signature"], "whsec_a", tolerance=10**9
        )
        assert notification.related_object.id == meter.id
        assert "data" not in sent
        fetched = await notification.fetch_event_async()
        [kind] = fetched.data.reason.error_types
        found[kind.sample_errors[0].request.identifier] = kind.code
        assert (await notification.fetch_related_object_async()).id == meter.id
    assert found == expected


async def test_a_name_that_no_meter_has_can_be_told_of_later(account: Account) -> None:
    await account.control("meters", checked_later=True)
    await account.control(
        "webhook_endpoints", url="https://a.test/", secret="whsec_a",
        enabled_events=["*", "v1.billing.meter.no_meter_found"],
    )  # fmt: skip
    customer = await account.customer(card=None)
    await _tell(account, customer.id, identifier="lost")
    [_, report] = await _reports(account)
    assert report["type"] == "v1.billing.meter.no_meter_found"
    assert "related_object" not in report
    fetched: Any = await account.stripe.v2.core.events.retrieve_async(report["id"])
    [kind] = fetched.data.reason.error_types
    assert (kind.code, kind.sample_errors[0].request.identifier) == ("no_meter", "lost")


async def test_an_endpoint_for_objects_gets_no_thin_events_unasked(account: Account) -> None:
    meter, customer = await _meter(account), await account.customer()
    await account.control("webhook_endpoints", url="https://a.test/", secret="whsec_a")
    await _tell(account, customer.id, "many")
    assert await _reports(account) == []
    assert meter.id


async def test_the_second_version_of_the_call(account: Account) -> None:
    meter, customer = await _meter(account), await account.customer()
    payload = {"stripe_customer_id": customer.id, "value": "7"}
    params: Any = {
        "event_name": "pages",
        "identifier": "u",
        "payload": payload,
        "timestamp": "2026-03-01T11:00:00Z",
    }
    made = await account.stripe.v2.billing.meter_events.create_async(params)
    assert made.timestamp == "2026-03-01T11:00:00.000Z"
    refused = {
        "duplicate_meter_event": params,
        "no_meter": {**params, "event_name": "none", "identifier": "v"},
        "payload_invalid_value": {**params, "payload": {**payload, "value": "x"}},
        "payload_no_customer_defined": {**params, "payload": {"value": "1"}},
    }
    for code, wrong in refused.items():
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            await account.stripe.v2.billing.meter_events.create_async(wrong)
        assert refusal.value.code == code
    [summary] = await _used(account, meter, customer.id)
    assert summary.aggregated_value == 7


async def test_the_second_version_takes_json_only(account: Account) -> None:
    headers = {"Authorization": "Bearer sk_test_sandbox"}
    for body in ({"data": {"event_name": "x"}}, {"content": b"[]"}, {"content": b"{"}):
        answer = await account.http.post("/v2/billing/meter_events", headers=headers, **body)
        assert answer.status_code == 400
        assert answer.json()["error"]["message"].startswith("Invalid request")


@pytest.mark.skipif(not contract.SPEC.exists(), reason="Stripe's spec is not at hand")
async def test_what_is_answered_has_stripes_shape(account: Account) -> None:
    meter, customer = await _meter(account), await account.customer()
    payload = {"stripe_customer_id": customer.id, "value": "7"}
    adjustment: Any = {"event_name": "pages", "type": "cancel", "cancel": {"identifier": "a"}}
    answers = [
        meter,
        await _tell(account, customer.id, identifier="a"),
        *await _used(account, meter, customer.id),
        await account.stripe.v1.billing.meter_event_adjustments.create_async(adjustment),
        await account.stripe.v2.billing.meter_events.create_async(
            {"event_name": "pages", "payload": payload}
        ),
    ]
    assert len(answers) == 5
    for answer in answers:
        assert contract.response_problems(answer.to_dict(for_json=True)) == []


async def test_a_metered_price_names_a_meter_that_counts(account: Account) -> None:
    prices = account.stripe.v1.prices
    meter = await _meter(account)
    recurring: Any = {"interval": "month", "usage_type": "metered"}
    params: Any = {"product": "prod_tokens", "currency": "usd", "unit_amount_decimal": "0.5"}
    for wrong in (recurring, {**recurring, "meter": "mtr_none"},
                  {"interval": "month", "meter": meter.id}):  # fmt: skip
        params["recurring"] = wrong
        with pytest.raises(stripe.InvalidRequestError):
            await prices.create_async(params)
    params["recurring"] = {**recurring, "meter": meter.id}
    made = await prices.create_async(params)
    assert made.recurring is not None
    assert made.recurring.meter == meter.id
    await account.stripe.v1.billing.meters.deactivate_async(meter.id)
    with pytest.raises(stripe.InvalidRequestError, match="not active"):
        await prices.create_async(params)


async def test_a_tiered_price_shows_its_tiers_when_asked(account: Account) -> None:
    tiers: Any = [
        {"up_to": 100, "unit_amount": 0, "flat_amount": 500},
        {"up_to": "inf", "unit_amount_decimal": "1.25"},
    ]
    params: Any = {
        "product": "prod_tokens",
        "currency": "usd",
        "billing_scheme": "tiered",
        "tiers_mode": "graduated",
        "tiers": tiers,
        "recurring": {"interval": "month", "usage_type": "metered", "meter": "mtr_tokens"},
        "lookup_key": "tokens",
    }
    made = await account.stripe.v1.prices.create_async(params)
    assert made.unit_amount is None
    assert "tiers" not in made
    shown: Any = await account.stripe.v1.prices.retrieve_async(made.id, {"expand": ["tiers"]})
    assert [tier.up_to for tier in shown.tiers] == [100, None]
    assert shown.tiers[1].unit_amount_decimal == Decimal("1.25")
    for wrong in ([], tiers[:1], [tiers[1], tiers[0]], [{"up_to": "inf"}]):
        params["tiers"] = wrong
        with pytest.raises(stripe.InvalidRequestError):
            await account.stripe.v1.prices.create_async(params)
    if contract.SPEC.exists():
        assert contract.response_problems(shown.to_dict(for_json=True)) == []


@pytest.mark.parametrize(
    ("mode", "units", "cost"),
    [
        ("graduated", "0", 500),
        ("graduated", "10", 510),
        ("graduated", "10.5", 511),
        ("graduated", "15", 520),
        ("graduated", "25", 555),
        ("volume", "10", 510),
        ("volume", "11", 22),
        ("volume", "25", 100),
    ],
)
def test_what_tiers_come_to(mode: str, units: str, cost: int) -> None:
    steps = [(10, "1", "500"), (20, "2", None), (None, "3", "10" if mode == "graduated" else "25")]
    price = {
        "billing_scheme": "tiered",
        "tiers_mode": mode,
        "transform_quantity": None,
        "_tiers": [
            {"up_to": end, "unit_amount_decimal": unit, "flat_amount_decimal": flat}
            for end, unit, flat in steps
        ],
    }
    assert amounts.of_price(price, Decimal(units)) == cost


@pytest.mark.parametrize(("rounding", "cost"), [("up", 300), ("down", 200)])
def test_a_price_per_package(rounding: str, cost: int) -> None:
    price = {
        "billing_scheme": "per_unit",
        "unit_amount_decimal": "100",
        "transform_quantity": {"divide_by": 1_000, "round": rounding},
    }
    assert amounts.of_price(price, 2_001) == cost


async def test_usage_is_in_time_by_the_customers_own_clock(account: Account) -> None:
    await _meter(account)
    clocks = account.stripe.v1.test_helpers.test_clocks
    clock = await clocks.create_async({"frozen_time": NOW + 90 * 86_400})
    ahead = await account.stripe.v1.customers.create_async({"test_clock": clock.id})
    told = await _tell(account, ahead.id)
    assert told.timestamp == NOW + 90 * 86_400
    with pytest.raises(stripe.InvalidRequestError, match="35 calendar days"):
        await _tell(account, ahead.id, timestamp=NOW)
