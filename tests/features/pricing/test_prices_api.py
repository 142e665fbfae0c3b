"""Prices over HTTP: the book, an estimate, and adding to it as an operator."""

from typing import Any

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
    said = unknown.json()
    assert (said["cost_usd"], said["priced"], said["price_used"]) == (None, False, None)
    assert "No price is known" in said["reason"]
    wrong = await owner.client.post(
        "/api/v1/costs/estimate",
        json={"provider": "acme", "model": "x", "tokens_in": 1, "cached_tokens": 2},
    )
    assert wrong.status_code == 422
    most = await owner.client.post(
        "/api/v1/costs/estimate",
        json={"provider": "openai", "model": "gpt-4o", "max_tokens_out": 1000},
    )
    assert most.json()["cost_usd"] == "0.01"
    embedding = await owner.client.post(
        "/api/v1/costs/estimate",
        json={"provider": "openai", "model": "text-embedding-3-small", "tokens_out": 1000},
    )
    assert (embedding.json()["cost_usd"], embedding.json()["price_used"] is None) == (None, False)
    assert embedding.json()["reason"] == "The model has no price for: output."


async def test_prices_say_what_is_in_force_and_why(service: Service) -> None:
    owner, operator = await an_owner(service), await an_operator(service)
    model = f"model-{new_id().hex}"
    row = {"provider": "acme", "model": model, "role": "input"}
    for price, since in (("4", "2026-11-01T00:00:00Z"), ("5", "2026-12-01T00:00:00Z")):
        added = await operator.put(
            "/api/v1/admin/prices",
            json={**row, "price_per_million": price, "effective_from": since},
        )
        assert added.status_code == 200, added.text

    async def shown(**params: str) -> list[dict[str, Any]]:
        answer = await owner.client.get("/api/v1/prices", params=params)
        assert answer.status_code == 200, answer.text
        data: list[dict[str, Any]] = answer.json()["data"]
        return data

    read, cached, written = await shown(provider="acme", model=model)
    assert (read["price_per_million"], read["source"]) == ("4", "book")
    assert (read["effective_from"], read["is_derived"]) == ("2026-11-01T00:00:00Z", False)
    assert read["next"] == {"price_per_million": "5", "effective_from": "2026-12-01T00:00:00Z"}
    assert [row["price_per_million"] for row in (cached, written)] == ["0.4", "5"]
    assert cached["is_derived"]
    (later, *_) = await shown(provider="acme", model=model, at="2027-01-01T00:00:00Z")
    assert (later["price_per_million"], later["next"]) == ("5", None)
    markup = {"organization_id": owner.id, "provider": "acme", "percent": "25"}
    refused = await owner.client.put("/api/v1/admin/prices/markups", json=markup)
    assert refused.status_code == 403
    put = await operator.put("/api/v1/admin/prices/markups", json=markup)
    assert put.status_code == 200, put.text
    read = (await shown(provider="acme", model=model))[0]
    assert (read["price_per_million"], read["markup_percent"]) == ("5", "25")
    assert (read["source"], read["is_override"]) == ("override", True)
    listed = await shown(provider="google", model="gemini-2.5-pro")
    assert {row["source"] for row in listed} == {"public_list"}
    assert listed[0]["steps"] == [{"above_tokens_in": 200000, "price_per_million": "2.5"}]
    default = await shown(provider="openrouter", model="*")
    assert default[0]["source"] == "provider_default"
    assert await shown(provider="acme", model="nobody knows") == []
    book = (await operator.get("/api/v1/admin/prices")).json()
    assert put.json() in book["markups"]
    assert len([row for row in book["data"] if row["model"] == model]) == 2
    alias = {"provider": "openai", "alias": f"{model}-alias", "model": "gpt-4o"}
    assert (await operator.put("/api/v1/admin/prices/aliases", json=alias)).json() == alias
    assert (await owner.client.put("/api/v1/admin/prices/aliases", json=alias)).status_code == 403
    for wrong in (
        {**markup, "percent": "-100"},
        {**markup, "provider": "*", "model": "gpt-4o"},
        {**markup, "percent": "0.00001"},
    ):
        answer = await operator.put("/api/v1/admin/prices/markups", json=wrong)
        assert answer.status_code == 422, answer.text


async def test_a_leap_is_answered_with_both_figures(service: Service) -> None:
    operator = await an_operator(service)
    model = f"model-{new_id().hex}"
    row = {"provider": "acme", "model": model, "role": "output"}
    prices = "/api/v1/admin/prices"
    await operator.put(prices, json={**row, "price_per_million": "3"})
    leap = {**row, "price_per_million": "30"}
    refused = await operator.put(prices, json=leap)
    assert (refused.status_code, refused.json()["code"]) == (409, "price_needs_confirmation")
    assert refused.json()["rows"] == [
        {
            "provider": "acme",
            "model": model,
            "role": "output",
            "price_per_million": "30",
            "predecessor_per_million": "3",
        }
    ]
    assert "30 after 3" in refused.json()["detail"]
    for body in ({**leap, "confirm": True}, {"prices": [leap], "confirm": True}):
        assert (await operator.put(prices, json=body)).status_code == 200


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
        json={**one, "price_per_million": "2", "effective_from": "2020-01-01T00:00:00Z"},
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
