"""The sandbox accepts nothing that Stripe would refuse, and answers in Stripe's shapes."""

from typing import Any, get_args

import pytest
from stripe._object_classes import get_object_class
from stripe.events._event_classes import get_v2_event_class

from app.sandbox.core.operations import Operation
from app.sandbox.core.params import Choice, Fields, Flag, Many, Metadata, Spec, Text, Url, Whole
from app.sandbox.core.sandbox import public
from app.sandbox.nouns.catalog import OPERATIONS
from tests.sandbox.conftest import Account
from tests.support import stripe_contract as contract


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: f"{o.method} {o.path}")
def test_every_parameter_taken_is_one_stripe_takes(operation: Operation) -> None:
    assert _differences(operation.takes, contract.typed_dict(operation.contract), "") == []


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: f"{o.method} {o.path}")
def test_every_parameter_stripe_requires_is_required(operation: Operation) -> None:
    hints = contract.keys(contract.typed_dict(operation.contract))
    required = {key for key, hint in hints.items() if contract.is_required(hint)}
    assert required <= set(operation.takes.needs)


def test_the_comparison_sees_what_was_taken_away() -> None:
    removed = Fields({"payment_method_types": Many(Text()), "mode": Choice(("subscribe",))})
    found = _differences(removed, contract.typed_dict("checkout.SessionCreateParams"), "")
    assert found == ["payment_method_types is unknown", "mode takes {'subscribe'}"]


def _differences(ours: Fields, theirs: type, at: str) -> list[str]:
    hints = contract.keys(theirs)
    found = []
    for key, spec in ours.known.items():
        if key not in hints:
            found.append(f"{at}{key} is unknown")
        else:
            found += _difference(spec, hints[key], f"{at}{key}")
    return found


def _difference(ours: Spec, hint: Any, at: str) -> list[str]:
    if isinstance(ours, Fields):
        theirs = contract.nested(hint)
        return _differences(ours, theirs, f"{at}.") if theirs else [f"{at} is not a hash"]
    if isinstance(ours, Many):
        entry = contract.entry(hint)
        return _difference(ours.entry, entry, f"{at}[]") if entry else [f"{at} is not a list"]
    allowed = contract.options(hint)
    words = contract.literals(hint)
    taken = set(getattr(ours, "options", ())) | set(getattr(ours, "words", ()))
    if getattr(ours, "clears", False):
        taken.add("")
    if words is not None and taken - words and not (taken - words == {""} and str in allowed):
        return [f"{at} takes {taken - words}"]
    wanted = {Flag: bool, Whole: int, Text: str, Url: str}.get(type(ours))
    if wanted and wanted not in allowed and not (wanted is str and words):
        return [f"{at} is not {wanted.__name__}"]
    if isinstance(ours, Metadata) and not any("Dict" in str(one) for one in allowed):
        return [f"{at} is not a map"]
    return []


@pytest.mark.skipif(not contract.SPEC.exists(), reason="Stripe's spec is not at hand")
async def test_every_object_and_event_has_stripes_shape(account: Account) -> None:
    kinds = await _live(account)
    assert _wrong(account, kinds) == {}


async def test_every_object_has_the_fields_of_the_pinned_version(account: Account) -> None:
    """The SDK's classes know the fields of this very version: none is missing, none of the past."""
    for kind in await _live(account):
        [doc, *_] = account.app.state.sandbox.all(kind)
        declared = _declared(doc)
        shown = public(doc)
        assert [key for key in shown if key not in declared] == [], kind
        needed = {
            key
            for key, hint in declared.items()
            if type(None) not in get_args(hint) and "ClassVar" not in str(hint)
        }
        assert needed - shown.keys() - {"deleted"} <= _LEFT_OUT, kind


def _declared(doc: dict[str, Any]) -> dict[str, Any]:
    """The fields of an object's class; a thin event has more of them, by its type."""
    version: Any = "V2" if doc["object"].startswith("v2.") else "V1"
    kind = get_object_class(version, doc["object"])
    more = get_v2_event_class(doc["type"]).__annotations__ if version == "V2" else {}
    optional = {key: hint | None for key, hint in more.items() if "ClassVar" not in str(hint)}
    return {**kind.__annotations__, **optional}


_LEFT_OUT = {"plan"}
"""Declared for old integrations; the published spec no longer has it."""


async def _live(account: Account) -> set[str]:
    """A few busy months in an account; says what kinds of objects came of them."""
    v1 = account.stripe.v1
    await v1.webhook_endpoints.create_async({"url": "https://a.test/hook", "enabled_events": ["*"]})
    await v1.test_helpers.test_clocks.create_async({"frozen_time": 1_800_000_000, "name": "a"})
    coupon = await v1.coupons.create_async({"percent_off": 20.5, "duration": "once"})
    await v1.promotion_codes.create_async(
        {"code": "HELLO", "promotion": {"type": "coupon", "coupon": coupon.id}}
    )
    session = await account.checkout(
        allow_promotion_codes=True,
        customer_email="b@example.com",
        subscription_data={"trial_period_days": 14},
    )
    await account.http.post(session.url, data={"action": "apply", "code": "hello"})
    await account.http.post(session.url, data={"action": "pay"})
    await account.checkout()
    await account.advance(days=15)
    subscription = (await v1.subscriptions.list_async()).data[0]
    item = subscription["items"].data[0]
    await v1.subscriptions.update_async(
        subscription.id, {"items": [{"id": item.id, "price": "price_pro"}]}
    )
    schedule = await v1.subscription_schedules.create_async({"from_subscription": subscription.id})
    now: Any = {
        "items": [{"price": "price_pro", "quantity": 1}],
        "start_date": schedule.phases[0].start_date,
        "end_date": schedule.phases[0].end_date,
    }
    then: Any = {"items": [{"price": "price_starter", "quantity": 1}]}
    await v1.subscription_schedules.update_async(schedule.id, {"phases": [now, then]})
    await account.advance(days=32)
    method = (await v1.payment_methods.list_async()).data[0]
    await account.control(f"payment_methods/{method.id}", decline_code="generic_decline")
    await account.advance(days=60)
    charge = next(filter(lambda one: one.paid, (await v1.charges.list_async()).data))
    await v1.refunds.create_async({"charge": charge.id, "amount": 100})
    await v1.billing_portal.configurations.create_async(
        {"features": {"subscription_cancel": {"enabled": True, "mode": "at_period_end"}}}
    )
    await v1.billing_portal.sessions.create_async(
        {
            "customer": str(subscription.customer),
            "return_url": "https://a.test/",
            "flow_data": {"type": "payment_method_update"},
        }
    )
    await _unusual_payments(account)
    await account.advance(days=4)
    await _mishaps(account, charge.id)
    rows = account.app.state.sandbox.store.rows("SELECT DISTINCT kind FROM objects")
    kinds = {row["kind"] for row in rows}
    assert len(kinds) >= 21, kinds
    return kinds


async def _unusual_payments(account: Account) -> None:
    """Payments that wait for a bank or for their payer, and some that fail."""
    v1 = account.stripe.v1
    for card in ("sepa", "sepa_fails", "ach", "ach_fails", "declines", "confirms"):
        session = await account.checkout(customer_email="b@example.com")
        answer = await account.http.post(session.url, data={"action": "pay", "card": card})
        if card == "confirms":
            bank = answer.headers["location"]
            await account.http.post(bank, data={"action": "fail"})
    customer = await account.customer(card="pm_card_threeDSecure2Required")
    await account.subscription(customer=customer.id)
    await v1.setup_intents.create_async(
        {
            "customer": customer.id,
            "payment_method": "pm_card_authenticationRequired",
            "confirm": True,
        }
    )
    paused = await account.subscription(billing_mode={"type": "classic"})
    await v1.subscriptions.migrate_async(paused.id, {"billing_mode": {"type": "flexible"}})
    await v1.subscriptions.update_async(paused.id, {"pause_collection": {"behavior": "void"}})
    await v1.subscriptions.pause_async(paused.id)
    invoice = await v1.invoices.create_async(
        {"customer": customer.id, "collection_method": "send_invoice", "days_until_due": 3}
    )
    await v1.invoice_items.create_async(
        {"customer": customer.id, "invoice": str(invoice.id), "amount": 5, "currency": "usd"}
    )
    await v1.invoice_items.create_async(
        {"customer": customer.id, "amount": 500, "currency": "usd", "description": "Waits"}
    )
    await v1.invoices.send_invoice_async(str(invoice.id))
    await v1.credit_notes.create_async({"invoice": str(invoice.id), "amount": 2})
    await v1.invoices.mark_uncollectible_async(str(invoice.id))
    await v1.payment_intents.create_async(
        {"amount": 2000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    )


async def _mishaps(account: Account, charge: str) -> None:
    """Money that comes back, is disputed and asked about; usage that cannot count."""
    v1 = account.stripe.v1
    await account.control(
        "webhook_endpoints", url="https://b.test/", secret="whsec_b", payload="both"
    )
    for card in ("pm_card_refundFail", "pm_card_createDispute", "pm_card_createDisputeInquiry"):
        customer = await account.customer(card=card)
        await account.subscription(customer=customer.id)
        [paid] = (await v1.charges.list_async({"customer": customer.id})).data
        if card == "pm_card_refundFail":
            await v1.refunds.create_async({"charge": paid.id})
        else:
            [dispute] = (await v1.disputes.list_async({"charge": paid.id})).data
            await v1.disputes.update_async(
                dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}}
            )
    await v1.billing.meters.create_async(
        {
            "display_name": "Pages",
            "event_name": "pages",
            "default_aggregation": {"formula": "sum"},
        }
    )
    await v1.billing.meter_events.create_async(
        {"event_name": "pages", "payload": {"stripe_customer_id": "cus_none", "value": "1"}}
    )
    await account.advance(hours=1)


async def test_every_event_is_one_that_stripe_has(account: Account) -> None:
    await _live(account)
    known = contract.literals(
        contract.entry(
            contract.keys(contract.typed_dict("WebhookEndpointCreateParams"))["enabled_events"]
        )
    )
    assert known is not None
    told = {event["type"] for event in account.app.state.sandbox.all("event")}
    assert len(told) >= 40
    assert told <= known


def _wrong(account: Account, kinds: set[str]) -> dict[str, list[str]]:
    wrong: dict[str, list[str]] = {}
    for kind in kinds:
        for doc in map(public, account.app.state.sandbox.all(kind)):
            if doc.get("deleted"):
                continue
            name = doc["type"] if kind == "event" else kind
            told = doc["data"]["object"] if kind == "event" else doc
            if kind == "event" and (problems := contract.response_problems(doc)):
                wrong[f"envelope of {name}"] = problems
            # An upcoming invoice has no id, which the spec of invoices does not foresee.
            told = {"id": "in_upcoming", **told}
            if problems := contract.response_problems(told):
                wrong[name] = problems
    return wrong


@pytest.mark.skipif(not contract.SPEC.exists(), reason="Stripe's spec is not at hand")
async def test_the_spec_check_sees_a_shape_of_the_past(account: Account) -> None:
    subscription = (await account.subscription()).to_dict(for_json=True)
    assert contract.response_problems(subscription) == []
    del subscription["items"]["data"][0]["current_period_end"]
    subscription["status"] = "running"
    problems = contract.response_problems(subscription)
    assert any("current_period_end" in problem for problem in problems)
    assert any("running" in problem for problem in problems)
