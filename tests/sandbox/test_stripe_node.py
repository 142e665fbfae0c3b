"""Stripe's SDK for another language gets along with the sandbox, and signs as it does."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
import stripe

from app.sandbox.core import signing
from tests.sandbox import outsiders
from tests.sandbox.conftest import Account

SDK = outsiders.node_stripe()
SCRIPT = Path(__file__).parent / "drivers/client.mjs"

pytestmark = pytest.mark.skipif(SDK is None, reason="Stripe's SDK for Node is not at hand")


async def _drive(account: Account, **environment: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        "node", str(SCRIPT), str(SDK), account.base_url, env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    return dict(json.loads(said))


async def test_another_languages_client(account: Account) -> None:
    await account.control("webhook_endpoints", url="https://a.test/", secret="whsec_a")
    await account.stripe.v1.customers.create_async({"name": "Zoë"})
    await account.app.state.deliverer.deliver_due()
    _, body, headers = account.mailbox.received[0]
    delivery = {
        "body": body.decode(),
        "signature": headers["Stripe-Signature"],
        "secret": "whsec_a",
    }
    seen = await _drive(account, DELIVERY=json.dumps(delivery))
    assert seen["version"] == stripe.api_version
    assert seen["once"] is True
    assert (seen["status"], seen["paid"], seen["ends"]) == ("active", "paid", True)
    assert seen["missing"] == ["StripeInvalidRequestError", "resource_missing", 404]
    assert seen["used"] == 5
    assert seen["types"].count("customer.created") == 2
    assert "invoice.paid" in seen["types"]
    assert seen["verified"] == "customer.created"
    payload = '{"id":"evt_test","object":"event","type":"invoice.paid","amount":"é"}'
    assert seen["header"] == signing.header(["whsec_test"], payload.encode(), 1700000000)
