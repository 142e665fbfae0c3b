"""Stripe's own command line replays Stripe's own scenarios on the sandbox."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox import outsiders
from tests.sandbox.conftest import running
from tests.support import stripe_contract as contract

CLI = outsiders.stripe_cli()
KEY = "sk_test_" + "0" * 24
_CARDS = ("--remove", "payment_intent:payment_method_types")
_SETUPS = ("--remove", "setup_intent:payment_method_types")
_CHECKOUT = ("--override", "checkout_session:mode=subscription",
             "--add", "price:recurring[interval]=month",
             "--remove", "checkout_session:payment_intent_data")  # fmt: skip
_PROMOTION = ("--remove", "promotion_code:coupon",
              "--add", "promotion_code:promotion[type]=coupon",
              "--add", "promotion_code:promotion[coupon]=${coupon:id}")  # fmt: skip
"""Its scenarios are older than the pinned version of the API, which took some parameters back."""

TRIGGERS: dict[str, tuple[str, ...]] = {
    "charge.dispute.closed": _CARDS,
    "charge.dispute.created": _CARDS,
    "charge.dispute.updated": _CARDS,
    "charge.failed": _CARDS,
    "charge.refund.updated": _CARDS,
    "charge.refunded": _CARDS,
    "charge.succeeded": _CARDS,
    "checkout.session.completed": _CHECKOUT,
    "checkout.session.expired": _CHECKOUT,
    "coupon.created": (),
    "coupon.deleted": (),
    "coupon.updated": (),
    "customer.created": (),
    "customer.deleted": (),
    "customer.subscription.created": (),
    "customer.subscription.deleted": (),
    "customer.subscription.paused": (),
    "customer.subscription.trial_will_end": (),
    "customer.subscription.updated": (),
    "customer.updated": (),
    "invoice.created": (),
    "invoice.deleted": (),
    "invoice.finalized": (),
    "invoice.marked_uncollectible": (),
    "invoice.paid": (),
    "invoice.payment_action_required": (),
    "invoice.payment_failed": (),
    "invoice.payment_succeeded": (),
    "invoice.sent": (),
    "invoice.updated": (),
    "invoice.voided": (),
    "invoiceitem.created": (),
    "invoiceitem.deleted": (),
    "payment_intent.canceled": _CARDS,
    "payment_intent.created": _CARDS,
    "payment_intent.payment_failed": _CARDS,
    "payment_intent.requires_action": _CARDS,
    "payment_intent.succeeded": _CARDS,
    "payment_method.attached": (),
    "payment_method.detached": (),
    "payment_method.updated": (),
    "price.created": (),
    "price.updated": (),
    "product.created": (),
    "product.deleted": (),
    "product.updated": (),
    "promotion_code.created": _PROMOTION,
    "promotion_code.updated": _PROMOTION,
    "setup_intent.canceled": _SETUPS,
    "setup_intent.created": _SETUPS,
    "setup_intent.requires_action": _SETUPS,
    "setup_intent.setup_failed": _SETUPS,
    "setup_intent.succeeded": _SETUPS,
    "subscription.payment_failed": (),
    "subscription.payment_succeeded": (),
    "test_helpers.test_clock.advancing": (),
    "test_helpers.test_clock.created": (),
    "test_helpers.test_clock.deleted": (),
    "test_helpers.test_clock.ready": (),
}
_BY_ANOTHER_NAME = {
    "subscription.payment_failed": "invoice.payment_failed",
    "subscription.payment_succeeded": "invoice.payment_succeeded",
}

pytestmark = pytest.mark.skipif(CLI is None, reason="Stripe's command line is not at hand")


async def _run(home: Path, *arguments: str) -> str:
    environment = {
        **os.environ,
        "HOME": str(home),
        "STRIPE_API_KEY": KEY,
        "STRIPE_CLI_TELEMETRY_OPTOUT": "1",
    }
    process = await asyncio.create_subprocess_exec(
        str(CLI), *arguments, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


@pytest.mark.parametrize("event", TRIGGERS)
async def test_a_scenario_leads_to_its_event(event: str, tmp_path: Path) -> None:
    async with running(secret_key=KEY) as account:
        await _run(tmp_path, "trigger", event, "--api-base", account.base_url, *TRIGGERS[event])
        sandbox = account.app.state.sandbox
        told = sandbox.all("event", type=_BY_ANOTHER_NAME.get(event, event))
        assert told
        if contract.SPEC.exists():
            for one in sandbox.all("event"):
                # An upcoming invoice has no id, which the spec of invoices does not foresee.
                body: Any = {"id": "in_upcoming", **one["data"]["object"]}
                assert body.get("deleted") or contract.response_problems(body) == [], one["type"]


async def test_an_object_is_made_read_and_deleted(tmp_path: Path) -> None:
    async with running(secret_key=KEY) as account:
        base = ("--api-base", account.base_url)
        await _run(tmp_path, "customers", "create", "--email", "a@example.com", *base)
        [customer] = account.app.state.sandbox.all("customer")
        said = await _run(tmp_path, "get", customer["id"], *base)
        assert "a@example.com" in said
        await _run(tmp_path, "delete", f"/v1/customers/{customer['id']}", "--confirm", *base)
        assert account.app.state.sandbox.all("customer", email="a@example.com") == []
