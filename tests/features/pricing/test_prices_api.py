"""Prices over HTTP: the book, an estimate, and adding to it as an operator."""

import httpx

from app.kernel.ids import new_id
from tests.factories.operators import an_operator
from tests.factories.people import an_owner
from tests.support.service import Service


async def test_the_book_shows_the_seven_prices(service: Service) -> None:
    owner = await an_owner(service)
    answer = await owner.client.get("/api/v1/prices")
    assert answer.status_code == 200, answer.text
    prices = {
        (row["provider"], row["model"], row["role"]): row["price_per_million"]
        for row in answer.json()["data"]
        if not row["is_override"]
    }
    assert prices["anthropic", "claude-opus-4", "output"] == "75"
    assert prices["deepseek", "deepseek-v3", "input"] == "0.14"
    assert prices["openrouter", "*", "input"] == "2"


async def test_an_estimate_names_the_price_it_used(service: Service) -> None:
    owner = await an_owner(service)
    answer = await owner.client.post(
        "/api/v1/costs/estimate",
        json={
            "provider": "anthropic",
            "model": "claude-sonnet-4",
            "tokens_in": 15_000,
            "cached_tokens": 2_000,
            "tokens_out": 800,
        },
    )
    body = answer.json()
    assert (body["cost_usd"], body["priced"]) == ("0.0516", True)
    assert body["price_used"]["source"] == "book"
    assert body["price_used"]["roles"]["input"]["price_per_million"] == "3"
    assert body["price_used"]["roles"]["input"]["price_id"].startswith("prc_")
    unknown = await owner.client.post(
        "/api/v1/costs/estimate", json={"provider": "acme", "model": "x", "tokens_in": 1}
    )
    assert unknown.json() == {"cost_usd": None, "priced": False, "price_used": None}
    wrong = await owner.client.post(
        "/api/v1/costs/estimate",
        json={"provider": "acme", "model": "x", "tokens_in": 1, "cached_tokens": 2},
    )
    assert wrong.status_code == 422


async def test_only_operators_add_prices(service: Service) -> None:
    owner, operator = await an_owner(service), await an_operator(service)
    model = f"model-{new_id().hex}"
    one = {"provider": "acme", "model": model, "role": "input", "price_per_million": "1.25"}
    for refused in (
        await owner.client.put("/api/v1/admin/prices", json=one),
        await owner.client.get("/api/v1/admin/prices"),
    ):
        assert refused.status_code == 403
    added = await operator.put("/api/v1/admin/prices", json=one)
    assert added.status_code == 200, added.text
    assert added.json()["data"][0]["price_per_million"] == "1.25"
    own = {**one, "price_per_million": "1", "organization_id": owner.id}
    both = await operator.put(
        "/api/v1/admin/prices",
        json={"prices": [own, {**one, "role": "output", "price_per_million": 4}]},
    )
    assert both.status_code == 200, both.text
    again = await operator.put(
        "/api/v1/admin/prices",
        json={**one, "price_per_million": "2", "effective_from": "2026-11-21T09:00:00Z"},
    )
    assert (again.status_code, again.json()["code"]) == (409, "price_exists")

    async def estimate(client: httpx.AsyncClient) -> str:
        answer = await client.post(
            "/api/v1/costs/estimate",
            json={"provider": "acme", "model": model, "tokens_in": 1_000_000},
        )
        return str(answer.json()["cost_usd"])

    assert await estimate(owner.client) == "1"
    assert await estimate(operator) == "1.25"
    for wrong in ("-1", "NaN", "0.00000000001", "100000000"):
        answer = await operator.put(
            "/api/v1/admin/prices", json={**one, "price_per_million": wrong}
        )
        assert answer.status_code == 422, wrong
