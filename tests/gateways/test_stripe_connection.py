"""How a call of Stripe fails, and that nothing of the SDK comes through."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import stripe

from app.gateways.stripe.connection import NETWORK_RETRIES, StripeConnection
from app.gateways.stripe.errors import (
    CardDeclined,
    StripeKeyReused,
    StripeMisconfigured,
    StripeMissing,
    StripeRefused,
    StripeUnavailable,
)
from app.gateways.stripe.gateway import CustomerDetails
from app.gateways.stripe.live import LiveStripe
from app.kernel.errors import BillingError

Answer = Callable[[httpx.Request], httpx.Response]


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[tuple[LiveStripe, list[float]]]:
    """The gateway against a server that answers as told; also how long it waited meanwhile."""
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)

    def make() -> stripe.HTTPXClient:
        client = stripe.HTTPXClient(timeout=1)
        client._client_async = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        client.sleep_async = nap  # type: ignore[method-assign]
        return client

    connection = StripeConnection("sk_test_x", make_http_client=make, sleep=nap)
    await connection.start()
    try:
        yield LiveStripe(connection), naps
    finally:
        await connection.stop()


def refusal(status: int, **error: Any) -> Answer:
    return lambda _: httpx.Response(status, json={"error": error})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal(402, type="card_error", code="card_declined", message="No."), CardDeclined),
        (
            refusal(404, type="invalid_request_error", code="resource_missing", param="id"),
            StripeMissing,
        ),
        (refusal(400, type="invalid_request_error", code="parameter_unknown"), StripeRefused),
        (refusal(400, type="idempotency_error", message="Same key."), StripeKeyReused),
        (refusal(401, type="invalid_request_error", message="Key sk_live_x"), StripeMisconfigured),
        (refusal(403, type="invalid_request_error", message="No."), StripeMisconfigured),
        (refusal(500, type="api_error", message="Oops."), StripeUnavailable),
        (lambda _: httpx.Response(500, text="<html>"), StripeUnavailable),
        (lambda _: httpx.Response(200, text="not json"), StripeUnavailable),
        (lambda _: httpx.Response(200, json={"object": "customer"}), StripeUnavailable),
        (lambda _: httpx.Response(400, json={"error": "a text"}), StripeUnavailable),
    ],
    ids=range(11),
)
async def test_every_failure_is_ours(answer: Answer, expected: type[BillingError]) -> None:
    async with answering(answer) as (gateway, _):
        with pytest.raises(expected) as caught:
            await gateway.get_customer("cus_1")
    assert "sk_live" not in caught.value.message
    assert not isinstance(caught.value.__cause__, stripe.StripeError)


async def test_a_dead_line_is_tried_again_with_the_same_key_and_then_given_up() -> None:
    keys: list[str] = []

    def dead(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["idempotency-key"])
        raise httpx.ConnectError("refused", request=request)

    async with answering(dead) as (gateway, naps):
        with pytest.raises(StripeUnavailable):
            await gateway.create_customer(CustomerDetails("Ada", None), key="customer:1")
    assert keys == ["customer:1"] * (NETWORK_RETRIES + 1)
    assert len(naps) == NETWORK_RETRIES


async def test_too_many_requests_are_waited_out() -> None:
    answers = iter([429, 429, 200])

    def busy(_: httpx.Request) -> httpx.Response:
        status = next(answers)
        body = {"id": "cus_1"} if status == 200 else {"error": {"type": "rate_limit"}}
        return httpx.Response(status, json=body)

    async with answering(busy) as (gateway, naps):
        assert (await gateway.get_customer("cus_1")).id == "cus_1"
        assert naps == [0.5, 1.0]


async def test_patience_ends() -> None:
    async with answering(refusal(429, type="rate_limit")) as (gateway, naps):
        with pytest.raises(StripeUnavailable):
            await gateway.get_customer("cus_1")
        assert sum(naps) < 5


async def test_the_version_is_pinned_and_nothing_is_reported_home() -> None:
    seen: list[httpx.Request] = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"id": "cus_1"})

    async with answering(note) as (gateway, _):
        await gateway.get_customer("cus_1")
        await gateway.get_customer("cus_1")
    assert {request.headers["stripe-version"] for request in seen} == {"2026-10-28.endive"}
    assert all("x-stripe-client-telemetry" not in request.headers for request in seen)
