"""A real trace of 28,185 requests: recorded once, summed and priced exactly, and twice is nothing."""

import csv
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.factories.people import an_owner
from tests.support.service import Service

MODELS = {"code": ("openai", "gpt-4o"), "conv": ("anthropic", "claude-sonnet-4")}
PRICES = {"code": (Decimal("2.5"), Decimal(10)), "conv": (Decimal(3), Decimal(15))}


def requests_of(directory: Path, now: datetime) -> list[dict[str, Any]]:
    """The trace's requests, moved to the hour before *now*."""
    found: list[dict[str, Any]] = []
    for kind, (provider, model) in MODELS.items():
        path = directory / f"AzureLLMInferenceTrace_{kind}.csv"
        with path.open(newline="") as lines:
            for number, row in enumerate(csv.DictReader(lines)):
                # Seven digits of a second are one more than Python keeps.
                stamp = datetime.fromisoformat(row["TIMESTAMP"][:26]).replace(tzinfo=UTC)
                at = now - timedelta(hours=2) + (stamp - datetime(2023, 11, 16, 18, tzinfo=UTC))
                found.append(
                    {
                        "id": f"{kind}-{number}",
                        "type": "inference",
                        "provider": provider,
                        "model": model,
                        "tokens_in": int(row["ContextTokens"]),
                        "tokens_out": int(row["GeneratedTokens"]),
                        "occurred_at": at.isoformat(),
                        "workspace": kind,
                    }
                )
    return found


@pytest.mark.slow
async def test_a_real_trace_is_recorded_once_and_exactly(
    service: Service, shared_dir: Path
) -> None:
    directory = shared_dir / "data" / "llm-traces"
    if not directory.is_dir():
        pytest.skip("no traces")
    owner = await an_owner(service, "enterprise")
    rows = requests_of(directory, service.clock.now())
    assert len(rows) == 28_185
    for outcome in ("recorded", "duplicates"):
        counted = 0
        for start in range(0, len(rows), 1_000):
            answer = await owner.client.post(
                "/api/v1/usage/events/batch", json={"events": rows[start : start + 1_000]}
            )
            assert answer.status_code == 200, answer.text
            counted += answer.json()[outcome]
        assert counted == len(rows)
    total = (await owner.client.get("/api/v1/usage/summary")).json()
    costs = {
        kind: sum(
            (row["tokens_in"] * read + row["tokens_out"] * written) / Decimal(1_000_000)
            for row in rows
            if row["workspace"] == kind
        )
        for kind, (read, written) in PRICES.items()
    }
    assert total["total_events"] == len(rows)
    assert total["tokens_in"] == sum(row["tokens_in"] for row in rows)
    assert total["tokens_out"] == sum(row["tokens_out"] for row in rows)
    assert Decimal(total["total_cost_usd"]) == sum(costs.values())
    assert total["unpriced_events"] == 0
    broken_down = (await owner.client.get("/api/v1/costs/breakdown")).json()
    for kind, (_, model) in MODELS.items():
        assert Decimal(broken_down["cost_by_workspace"][kind]) == costs[kind]
        assert Decimal(broken_down["cost_by_model"][model]) == costs[kind]
