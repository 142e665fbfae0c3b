"""Event destinations of the second version of the API: thin events by a call of Stripe's own."""

import json
from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import Account
from tests.support import stripe_contract as contract

REPORTS = ["v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found"]


async def _put_up(account: Account, **more: Any) -> Any:
    params: Any = {
        "name": "Ours",
        "type": "webhook_endpoint",
        "event_payload": "thin",
        "enabled_events": REPORTS,
        "webhook_endpoint": {"url": "https://a.test/hook"},
        "include": ["webhook_endpoint.signing_secret", "webhook_endpoint.url"],
        **more,
    }
    return await account.stripe.v2.core.event_destinations.create_async(params)


async def test_a_destination_is_sent_what_it_names_signed(account: Account) -> None:
    made = await _put_up(account)
    await account.control("meters", checked_later=True)
    await account.stripe.v1.billing.meter_events.create_async(
        {"event_name": "none", "payload": {"stripe_customer_id": "cus_x", "value": "1"}}
    )
    while await account.app.state.deliverer.deliver_due():
        pass
    [(url, body, headers)] = account.mailbox.received
    assert url == "https://a.test/hook"
    assert json.loads(body)["type"] == REPORTS[1]
    stripe.WebhookSignature.verify_header(
        body, headers["Stripe-Signature"], made.webhook_endpoint.signing_secret
    )


async def test_the_secret_is_told_once(account: Account) -> None:
    made = await _put_up(account)
    destinations = account.stripe.v2.core.event_destinations
    again: Any = await destinations.retrieve_async(made.id, {"include": ["webhook_endpoint.url"]})
    assert again.webhook_endpoint.url == "https://a.test/hook"
    assert "signing_secret" not in again.webhook_endpoint
    assert "webhook_endpoint" not in await destinations.retrieve_async(made.id)
    assert (await account.stripe.v1.webhook_endpoints.list_async()).data == []


async def test_a_destination_is_changed_put_off_and_taken_down(account: Account) -> None:
    destinations = account.stripe.v2.core.event_destinations
    made = await _put_up(account)
    changed = await destinations.update_async(
        made.id, {"enabled_events": REPORTS[:1], "name": "Mine"}
    )
    assert (changed.enabled_events, changed.name) == (REPORTS[:1], "Mine")
    assert (await destinations.disable_async(made.id)).status == "disabled"
    assert (await destinations.enable_async(made.id)).status == "enabled"
    listed: Any = await destinations.list_async({"limit": 20, "include": ["webhook_endpoint.url"]})
    assert [one.id for one in listed.data] == [made.id]
    await destinations.delete_async(made.id)
    assert (await destinations.list_async()).data == []
    with pytest.raises(stripe.InvalidRequestError):
        await destinations.retrieve_async(made.id)


@pytest.mark.parametrize(
    ("payload", "events"), [("thin", ["invoice.paid"]), ("snapshot", ["v1.invoice.paid"])]
)
async def test_a_destination_takes_one_kind_of_events(
    account: Account, payload: str, events: list[str]
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="cannot be sent"):
        await _put_up(account, event_payload=payload, enabled_events=events)


@pytest.mark.skipif(not contract.SPEC.exists(), reason="Stripe's spec is not at hand")
async def test_destinations_have_stripes_shape(account: Account) -> None:
    made = await _put_up(account)
    snapshot = await _put_up(account, event_payload="snapshot", enabled_events=["invoice.paid"])
    for one in (made, snapshot):
        assert contract.response_problems(one.to_dict(for_json=True)) == []
