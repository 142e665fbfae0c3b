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
            "data": {
                "object": {"id": "sub_1", "object": "subscription", "metadata": {"a": "b" * 1500}}
            },
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
