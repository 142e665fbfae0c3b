"""Stripe's events, verified and stored before the answer."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime

from benchmarks.bench import Bench
from benchmarks.client import request
from benchmarks.measured import Case, Measure, Sample
from benchmarks.stage import WEBHOOK_SECRET

_ITEMS = [
    {
        "id": f"si_{n:014}",
        "object": "subscription_item",
        "created": 1_760_000_000 + n,
        "current_period_start": 1_760_000_000,
        "current_period_end": 1_762_592_000,
        "discounts": [],
        "metadata": {"organization_id": f"org_{n:026}"},
        "price": {
            "id": f"price_{n:014}",
            "object": "price",
            "active": True,
            "billing_scheme": "per_unit",
            "currency": "usd",
            "lookup_key": None,
            "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
            "unit_amount": 29_900,
            "unit_amount_decimal": "29900",
        },
        "quantity": 1,
    }
    for n in range(7)
]
"""What makes an event 3.9 kB, as one of a subscription is."""


def _signed(path: str, event_id: str) -> bytes:
    sent = int(datetime.now(UTC).timestamp())
    body = json.dumps(
        {
            "id": event_id,
            "object": "event",
            "type": "customer.subscription.updated",
            "api_version": "2026-10-28.endive",
            "created": sent,
            "livemode": False,
            "data": {"object": {"id": "sub_1", "object": "subscription", "items": _ITEMS}},
        }
    ).encode()
    digest = hmac.new(WEBHOOK_SECRET.encode(), f"{sent}.".encode() + body, hashlib.sha256)
    headers = {
        "Stripe-Signature": f"t={sent},v1={digest.hexdigest()}",
        "Content-Type": "application/json",
    }
    return request("POST", path, body, headers)


def intake(path: str, count: int, *, is_rival: bool = False) -> Measure:
    """New events, 32 connections."""

    async def measure(bench: Bench, run: int) -> Sample:
        here = bench.fast
        name = "rival" if is_rival else "ours"
        requests = [_signed(path, f"evt_{name}_{run}_{n}") for n in range(bench.count(count))]
        server = here.rivals if is_rival else here.service
        sample, _ = await bench.http(here, server, requests, connections=32)
        return sample

    return measure


CASES = (
    Case(
        "webhook", "Stripe event taken in, 32 connections", intake("/api/v1/webhooks/stripe", 3_000)
    ),
    Case(
        "webhook-rival",
        "rival: construct_event, ORM add, commit",
        intake("/stripe", 800, is_rival=True),
    ),
)
