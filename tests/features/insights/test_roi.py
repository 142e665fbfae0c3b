"""Return on investment over HTTP: from what was used, or from what the caller says."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import URL

from app.kernel.clock import ManualClock
from tests.factories.people import Owner, an_owner
from tests.factories.subscriptions import subscribed, subscription
from tests.support.service import Service
from tests.support.stripe_account import a_shop

ROI = "/api/v1/roi"


async def ask(owner: Owner, **body: Any) -> dict[str, Any]:
    answer = await owner.client.post(ROI, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_debates_and_their_cost_are_read_from_usage(service: Service) -> None:
    owner = await an_owner(service)
    events: list[dict[str, Any]] = [
        {"id": f"d{number}", "type": "debate", "debate_id": f"d{number}"} for number in range(4)
    ]
    call = {"id": "call", "type": "tokens", "provider": "openai", "model": "gpt-4o"}
    events.append({**call, "tokens_in": 400_000})
    sent = await owner.client.post("/api/v1/usage/events/batch", json={"events": events})
    assert sent.json()["recorded"] == 5
    found = await ask(owner)
    assert (found["inputs"]["debates"], found["inputs"]["usage_cost_usd"]) == (4, "1")
    assert found["inputs"]["subscription_cost_usd"] == "0"
    assert found["period"] == {
        "manual_cost_usd": "1800",
        "debate_cost_usd": "76",
        "saved_usd": "1724",
        "manual_hours": "24",
        "debate_hours": "1",
        "saved_hours": "23",
        "roi_percent": "2268.421053",
    }
    assert found["per_debate"]["saved_usd"] == "431"
    assert "people_per_decision" in found["formula"]


async def test_what_the_caller_says_goes_before(service: Service) -> None:
    owner = await an_owner(service)
    found = await ask(
        owner,
        debates=10,
        usage_cost_usd="20",
        subscription_cost_usd="99",
        people_per_decision="1",
        hours_per_decision="1",
        hourly_cost_usd="50",
        review_hours_per_debate="0",
    )
    assert (found["period"]["saved_usd"], found["period"]["roi_percent"]) == ("381", "320.168067")
    # 48 saved by a debate before the subscription.
    assert found["payback_debates"] == "2.0625"


async def test_the_most_of_everything_is_answered(service: Service) -> None:
    owner = await an_owner(service)
    found = await ask(
        owner,
        debates=10**9,
        people_per_decision="1000",
        hours_per_decision="10000",
        hourly_cost_usd="1000000000",
        review_hours_per_debate="0",
        usage_cost_usd="0",
        subscription_cost_usd="0",
    )
    assert Decimal(found["period"]["saved_usd"]) == 10**25


@pytest.mark.parametrize(
    "body",
    [
        {"debates": -1},
        {"people_per_decision": "0"},
        {"hourly_cost_usd": "NaN"},
        {"since": "2026-11-02T00:00:00Z", "until": "2026-11-01T00:00:00Z"},
        {"surprise": 1},
    ],
)
async def test_what_makes_no_sense_is_refused(service: Service, body: dict[str, Any]) -> None:
    owner = await an_owner(service)
    assert (await owner.client.post(ROI, json=body)).status_code == 422


async def test_a_window_that_was_paid_costs_its_price(fresh_url: URL, clock: ManualClock) -> None:
    async with a_shop(fresh_url, clock) as shop:
        owner = await subscribed(shop)
        held = await subscription(owner)
        inputs = (await ask(owner))["inputs"]
        assert inputs["since"] == held["current_period_start"]
        assert inputs["subscription_cost_usd"] == "299"
        asked = {"since": held["current_period_start"], "until": held["current_period_end"]}
        assert (await ask(owner, **asked))["inputs"] == inputs
        half = {"since": "2026-11-01T00:00:00Z", "until": "2026-11-16T00:00:00Z"}
        assert (await ask(owner, **half))["inputs"]["subscription_cost_usd"] == "149.5"
