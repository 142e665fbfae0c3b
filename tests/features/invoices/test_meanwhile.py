"""What changes between two documents: one is taken back, or the seller is renamed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import URL, text

from app.doctor.domain import CheckState
from app.doctor.service import Doctor
from app.invoices.numbering import OURS
from app.invoices.service.running import InvoiceRun
from app.kernel.clock import ManualClock
from tests.conftest import START
from tests.factories.billing import act, generate, spend
from tests.factories.operators import an_operator
from tests.factories.people import an_owner
from tests.support.locks import waiting
from tests.support.service import Service, running
from tests.support.staying import staying_signed_in

NOTE = {"lines": [{"line": 1}], "kind": "correction", "reason": "All of it was wrong"}


@pytest.fixture
async def service(fresh_url: URL, clock: ManualClock) -> AsyncIterator[Service]:
    """Nobody else is there for the run to begin with."""
    async with running(fresh_url, clock) as running_service:
        yield running_service


@pytest.fixture
async def operator(service: Service) -> httpx.AsyncClient:
    return await staying_signed_in(service, await an_operator(service))


@pytest.mark.parametrize(("action", "body"), [("void", {}), ("credit-notes", NOTE)])
async def test_what_is_taken_back_meanwhile_is_looked_at_again(
    service: Service, operator: httpx.AsyncClient, action: str, body: dict[str, Any]
) -> None:
    owner = await an_owner(service, plan="enterprise_plus")
    await staying_signed_in(service, owner.client)
    await spend(owner, "one", START, 300)
    first = await act(operator, await generate(operator, owner, "2026-11"), "finalize")
    await spend(owner, "late", START, 30)
    service.clock.set(datetime.fromisoformat("2027-01-02T10:00:00+00:00"))
    async with service.work.begin_platform() as session:
        # The issue comes as far as its number: it has read what was billed of November.
        await session.execute(
            text(
                "insert into invoice_number_counters (seller, year, last_number)"
                " values (:ours, 2027, 0)"
            ),
            {"ours": OURS},
        )
        issue = asyncio.create_task(service.services[InvoiceRun].close())
        await waiting(service, 1, issue)
        taking_back = asyncio.create_task(act(operator, first, action, **body))
        await waiting(service, 2, taking_back)
    assert (await issue).issued == 1
    await taking_back
    async with service.work.begin(owner.organization_id) as session:
        left = await session.scalars(
            text(
                "select fingerprint from billed_windows"
                " where organization_id = :owner and window_start = '2026-11-01'"
            ),
            {"owner": owner.organization_id},
        )
        assert left.all() == [""]


async def test_a_renamed_seller_goes_on_counting(fresh_url: URL, clock: ManualClock) -> None:
    numbers: list[str] = []
    for name in ("Aragora", "Aragora International Ltd"):
        async with running(fresh_url, clock, seller_name=name) as service:
            operator = await an_operator(service)
            owner = await an_owner(service)
            await spend(owner, "one", START, 300)
            issued = await act(operator, await generate(operator, owner, "2026-11"), "finalize")
            noted = await act(operator, issued, "credit-notes", **NOTE | {"lines": [{"line": 0}]})
            numbers += [issued["number"], noted["number"]]
            report = await service.services[Doctor].examine()
            assert [one.check for one in report.findings if one.state is not CheckState.OK] == []
    assert numbers == [
        "INV-2026-000001",
        "CN-2026-000001",
        "INV-2026-000002",
        "CN-2026-000002",
    ]
