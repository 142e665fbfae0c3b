"""A catalog version from before a contradiction was refused: its organization waits, no other."""

from __future__ import annotations

from copy import deepcopy
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from app.catalog.document import CatalogFile, read_catalog
from app.catalog.errors import CatalogFileWrong
from app.catalog.models import CatalogVersion
from app.invoices.service.running import InvoiceRun
from app.organizations.invariants import INVARIANTS
from tests.conftest import START
from tests.factories.billing import act, generate, spend, use
from tests.factories.operators import an_operator
from tests.factories.people import Owner, an_owner
from tests.support.service import Service
from tests.support.staying import staying_signed_in

PLUS = "enterprise_plus"
AFTER_NOVEMBER = datetime.fromisoformat("2026-12-02T10:00:00+00:00")
PRICE = {"model": "per_unit", "unit_amount": "0.5"}
FREE_UNITS = {"limit": "5", "policy": "overage"}


def a_catalog(limit: dict[str, Any]) -> CatalogFile:
    """One in which Enterprise+ sells debates by model, and a limit of them."""
    document = deepcopy(read_catalog("aragora").document)
    (plan,) = [one for one in document["plans"] if one["key"] == PLUS]
    plan["limits"] = {"debates": limit}
    plan["metered"] = [{"metric": "debates", "price": PRICE, "dimensions": [{"price": PRICE}]}]
    return CatalogFile.stored(document)


async def hold(service: Service, owner: Owner, file: CatalogFile) -> None:
    """As whoever bought the plan when that version was sold."""
    version = UUID(hex=file.content_hash[:32])
    row = CatalogVersion(
        id=version,
        content_hash=file.content_hash,
        name=file.name,
        document=file.document,
        created_at=START,
    )
    async with service.work.begin_platform() as session:
        await session.merge(row)
        await session.execute(
            text("update organizations set catalog_version = :version where id = :id"),
            {"version": version, "id": owner.organization_id},
        )


async def complaints(service: Service, owner: Owner) -> list[str]:
    name = "organizations.what_is_held_can_be_rated"
    async with service.work.begin_platform() as session:
        given = {"organization_id": owner.organization_id}
        found = await session.execute(text(INVARIANTS[name][1]), given)
        return [f"{row.plan} {row.metric}" for row in found]


async def test_what_cannot_be_rated_waits_with_its_reason_and_holds_up_nobody(
    service: Service,
) -> None:
    owners = [await an_owner(service, plan=PLUS) for _ in range(3)]
    unclear, clear, other = owners
    operator = await staying_signed_in(service, await an_operator(service))
    await hold(service, unclear, a_catalog(FREE_UNITS))
    await hold(service, clear, a_catalog({"limit": None, "policy": "soft"}))
    for owner in owners:
        await staying_signed_in(service, owner.client)
        await use(owner, "one", START, type="debate", tokens_in=0, provider=None, model=None)
        await spend(owner, "two", START, 300)
    # Found by the doctor from the day on which the version is read, not at the end of the month.
    assert await complaints(service, unclear) == [f"{PLUS} debates"]
    assert await complaints(service, clear) == await complaints(service, other) == []
    service.clock.set(AFTER_NOVEMBER)
    with capture_logs() as said:
        await service.services[InvoiceRun].close()
    issued = [
        [line["amount"] for line in invoice["lines"]]
        for owner in owners
        for invoice in (await owner.client.get("/api/v1/billing/invoices")).json()["data"]
    ]
    assert issued == [[500_000, 50], [500_000, 300]]
    (line,) = [one for one in said if one.get("organization_id") == unclear.organization_id]
    assert (line["event"], line["code"]) == ("invoices.not_closed", "plan_cannot_be_rated")
    assert "includes units of debates" in line["reason"]
    asked = {"organization_id": unclear.id, "period": "2026-11"}
    refused = await operator.post("/api/v1/admin/invoices/generate", json=asked)
    body = refused.json()
    assert (refused.status_code, body["code"]) == (409, "plan_cannot_be_rated")
    assert (body["plan"], body["metric"]) == (PLUS, "debates")
    # Moved to a version that says it, the window is closed as if nothing had been.
    await hold(service, unclear, a_catalog({"limit": None, "policy": "soft"}))
    moved = await act(operator, await generate(operator, unclear, "2026-11"), "finalize")
    assert [line["amount"] for line in moved["lines"]] == [500_000, 50]


def test_a_file_that_says_so_is_refused_when_it_is_loaded(tmp_path: Any) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: mine\nwindow: calendar_month\nmetrics: {calls: {unit: call}}\nplans:\n"
        "  - key: all\n    name: All\n    seats: 1\n"
        "    limits: {calls: {limit: 5, policy: overage}}\n    metered:\n"
        "      - metric: calls\n        price: {model: per_unit, unit_amount: 1}\n"
        "        dimensions: [{price: {model: per_unit, unit_amount: 2}}]\n"
    )
    with pytest.raises(CatalogFileWrong, match=r"mine\.yaml, line 12: .*includes units"):
        read_catalog(str(file))
