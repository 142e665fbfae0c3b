"""Bad days on order: what the real client makes of them, and what was done all the same."""

from typing import Any

import httpx
import pytest
import stripe

from tests.sandbox.conftest import Account

HEADERS = {"Authorization": "Bearer sk_test_sandbox"}


async def _made(account: Account) -> int:
    return len((await account.stripe.v1.customers.list_async({"limit": 100})).data)


@pytest.mark.parametrize(
    ("kind", "raised", "done"),
    [
        ("rate_limit", stripe.RateLimitError, 0),
        ("server_error", stripe.APIError, 0),
        ("lost_answer", stripe.APIError, 1),
        ("error_text", Exception, 0),
        ("html", stripe.APIError, 0),
        ("truncated", stripe.APIError, 1),
        ("reset", stripe.APIConnectionError, 0),
        ("lost_connection", stripe.APIConnectionError, 1),
    ],
)
async def test_each_bad_answer(
    account: Account, kind: str, raised: type[Exception], done: int
) -> None:
    create = account.stripe.v1.customers.create_async
    await account.control("faults", kind=kind, path="/v1/customers", method="POST")
    with pytest.raises(raised):
        await create({"name": "x"}, {"idempotency_key": "one"})
    assert await _made(account) == done
    await create({"name": "x"}, {"idempotency_key": "one"})
    assert await _made(account) == 1


@pytest.mark.parametrize("kind", ["reset", "lost_connection"])
async def test_a_cut_connection_says_nothing(account: Account, kind: str) -> None:
    await account.control("faults", kind=kind)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        await account.http.post("/v1/customers", headers=HEADERS, data={"name": "x"})
    assert (await account.http.get("/v1/customers", headers=HEADERS)).status_code == 200


async def test_a_fault_meets_only_what_it_was_ordered_for(account: Account) -> None:
    await account.control("faults", kind="html", path="/v2/", count=2)
    assert await _made(account) == 0
    params: Any = {"event_name": "x", "payload": {}}
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            await account.stripe.v2.billing.meter_events.create_async(params)
    with pytest.raises(stripe.InvalidRequestError):
        await account.stripe.v2.billing.meter_events.create_async(params)


async def test_a_slow_answer_comes(account: Account) -> None:
    await account.control("faults", kind="slow", seconds=0.2)
    waited = await account.http.get("/v1/customers", headers=HEADERS)
    assert waited.elapsed.total_seconds() >= 0.2
