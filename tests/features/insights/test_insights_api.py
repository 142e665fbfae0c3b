"""Forecast, anomalies and patterns over HTTP."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from pydantic_core import to_json

from app.catalog.service import CatalogService  # noqa: F401 - the service fixture builds it
from app.usage.service.ingest import UsageIngest
from app.usage.wire.events import read_batch
from tests.factories.people import Owner, an_owner
from tests.support.service import Service

WEEKDAYS = [10, 12, 11, 13, 14, 3, 2]
DOLLAR = 400_000
"""Tokens of gpt-4o for one dollar."""


async def a_history(service: Service, days: int, **unlike: int) -> Owner:
    """Daily dollars by weekday; `unlike` names days back (`d9=50`) that were other."""
    owner = await an_owner(service)
    rows = []
    for back in range(1, days + 1):
        at = service.clock.now() - timedelta(days=back)
        dollars = unlike.get(f"d{back}", WEEKDAYS[at.weekday()])
        rows.append(
            {
                "id": f"d{back}",
                "type": "tokens",
                "provider": "openai",
                "model": "gpt-4o",
                "tokens_in": dollars * DOLLAR,
                "agent": "critic",
                "occurred_at": at.isoformat(),
            }
        )
    _, events = read_batch(to_json({"events": rows}))
    answers = await service.services[UsageIngest].record(
        owner.organization_id, events, backfill=True
    )
    assert not [each for each in answers if isinstance(each, Exception)]
    return owner


async def get(owner: Owner, path: str, **params: str) -> dict[str, Any]:
    answer = await owner.client.get(f"/api/v1/costs/{path}", params=params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_a_steady_week_goes_on(service: Service) -> None:
    owner = await a_history(service, 56)
    found = await get(owner, "forecast", days_ahead="28")
    assert (found["method"], found["history_days"]) == ("theta", 56)
    assert abs(Decimal(found["projected_cost_usd"]) - 4 * sum(WEEKDAYS)) < 5
    assert Decimal(found["lower_usd"]) <= Decimal(found["projected_cost_usd"])
    assert len(found["days"]) == 28
    assert found["days"][0]["day"] == found["from_day"] == "2026-11-21"
    saturday = Decimal(found["days"][0]["cost_usd"])
    assert abs(saturday - 3) < 1
    assert found["will_exceed_budget"] is None
    default = await get(owner, "forecast")
    assert default["days_ahead"] == 30


async def test_budgets_of_the_organization_are_looked_at(service: Service) -> None:
    owner = await a_history(service, 56)
    for name, amount in (("tight", "120"), ("wide", "1000")):
        made = await owner.client.post(
            "/api/v1/budgets",
            json={"name": name, "scope": "organization", "amount_usd": amount, "period": "monthly"},
        )
        assert made.status_code == 201, made.text
    found = await get(owner, "forecast")
    assert found["will_exceed_budget"] is True
    assert {each["name"]: each["will_exceed"] for each in found["budgets"]} == {
        "tight": True,
        "wide": False,
    }
    # November has seen its first twenty days; ten are to come.
    seen = sum(WEEKDAYS[(6 + day) % 7] for day in range(20))
    for each in found["budgets"]:
        assert Decimal(each["spent_usd"]) == seen
        assert each["until"] == "2026-12-01"
        to_come = sum(WEEKDAYS[(6 + day) % 7] for day in range(20, 30))
        assert abs(Decimal(each["projected_usd"]) - seen - to_come) < 10


async def test_too_short_a_history_is_said(service: Service) -> None:
    owner = await an_owner(service)
    found = await get(owner, "forecast")
    assert found["projected_cost_usd"] is None
    assert found["reason"] == "Fewer than 7 whole days of usage."
    assert await get(owner, "anomalies") == {"data": []}
    patterns = await get(owner, "patterns")
    assert (patterns["busiest_hour"], patterns["weekly_share"]) == (None, None)


async def test_a_day_that_stands_out_is_shown_with_what_was_expected(service: Service) -> None:
    owner = await a_history(service, 60, d9=90)
    (found,) = (await get(owner, "anomalies"))["data"]
    assert (found["day"], found["kind"], found["severity"]) == ("2026-11-12", "spike", "critical")
    assert (found["cost_usd"], found["expected_cost_usd"]) == ("90", "13")
    (of_agent,) = (await get(owner, "anomalies", group_by="agent"))["data"]
    assert (of_agent["name"], of_agent["day"]) == ("critic", "2026-11-12")
    assert (await get(owner, "anomalies", days="8"))["data"] == []


async def test_patterns_show_weekdays_and_hours(service: Service) -> None:
    owner = await a_history(service, 56)
    found = await get(owner, "patterns")
    assert list(found["mean_cost_by_weekday"].values()) == [str(each) for each in WEEKDAYS]
    assert (found["busiest_weekday"], found["busiest_hour"]) == ("friday", 9)
    assert Decimal(found["mean_cost_by_hour"][9]) == Decimal("9.285714")
    assert found["weekly_share"] > 0.95
    assert found["change"] == 0
