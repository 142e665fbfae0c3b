"""The catalog in the service: stored once, public, chosen by the environment."""

import asyncio
from pathlib import Path

import httpx
import pytest
from sqlalchemy import URL, text

from app.catalog.errors import UnknownCatalogVersion
from app.catalog.service import CatalogService
from app.kernel.clock import ManualClock
from app.kernel.ids import new_id
from tests.support.service import Service, running


async def test_plans_are_public(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/plans")
    assert answer.status_code == 200
    body = answer.json()
    assert body["name"] == "aragora"
    assert body["version"].startswith("cat_")
    professional = body["plans"][2]
    assert professional["key"] == "professional"
    assert professional["prices"][0] == {
        "amount": 29900,
        "currency": "usd",
        "interval": "month",
        "is_purchasable": False,
    }
    assert professional["limits"] == {"debates": 200}
    assert professional["limit_policies"] == {"debates": "hard"}
    assert body["plans"][3]["limits"] == {"debates": None}
    assert {"key": "debates", "aggregation": "sum", "unit": "debate", "event_type": "debate"} in (
        body["metrics"]
    )


async def test_a_version_is_stored_once_by_two_processes_at_once(
    fresh_url: URL, clock: ManualClock
) -> None:
    async with running(fresh_url, clock) as one, running(fresh_url, clock) as two:
        stores = [instance.services[CatalogService].store_active for instance in (one, two) * 5]
        await asyncio.gather(*(store() for store in stores))
        async with one.work.begin_platform() as session:
            rows = (await session.execute(text("select id, name from catalog_versions"))).all()
        assert rows == [(one.services[CatalogService].active.id, "aragora")]


async def test_a_bought_version_outlives_the_file(
    fresh_url: URL, clock: ManualClock, tmp_path: Path
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "name: own\nwindow: calendar_month\nmetrics: {calls: {unit: call}}\n"
        "plans: [{key: one, name: One, seats: 1, limits: {calls: 7}}]\n"
    )
    async with running(fresh_url, clock, catalog=str(path)) as before:
        bought = before.services[CatalogService].active
    async with running(fresh_url, clock) as after:
        catalogs = after.services[CatalogService]
        assert catalogs.active.name == "aragora"
        assert await catalogs.version(bought.id) == bought
        assert await catalogs.version(bought.id) is await catalogs.version(bought.id)


async def test_an_unknown_version_is_not_found(service: Service) -> None:
    with pytest.raises(UnknownCatalogVersion):
        await service.services[CatalogService].version(new_id())
