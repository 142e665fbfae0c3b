"""What the run asks of the database for each organization does not grow with anything."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import URL, event
from sqlalchemy.ext.asyncio import AsyncEngine

from app.invoices.service.running import InvoiceRun
from app.kernel.clock import ManualClock
from tests.conftest import START
from tests.factories.billing import spend, use
from tests.factories.people import an_owner
from tests.support.service import Service, running

AFTER_NOVEMBER = datetime.fromisoformat("2026-12-02T10:00:00+00:00")


async def test_statements_for_each_organization_are_constant(
    fresh_url: URL, clock: ManualClock
) -> None:
    async with running(fresh_url, clock) as service:
        owners = [await an_owner(service, plan="enterprise_plus") for _ in range(6)]
        for number, owner in enumerate(owners):
            # From one event of one model to 32 of two, on as many hours.
            for turn in range(2**number):
                at = START - timedelta(hours=turn)
                await spend(owner, f"event-{turn}", at, 3)
                await use(owner, f"other-{turn}", at, tokens_out=10, model="claude-opus-4")
        counts: list[int] = []
        statements = 0

        def count(*_: Any) -> None:
            nonlocal statements
            statements += 1

        def tell(_: UUID) -> None:
            nonlocal statements
            counts.append(statements)
            statements = 0

        engine = service.services[AsyncEngine].sync_engine
        event.listen(engine, "before_cursor_execute", count)
        clock.set(AFTER_NOVEMBER)
        report = await service.services[InvoiceRun].close(tell=tell)
        assert report.issued == len(owners)
        # The first has the page's statements on top.
        assert len(set(counts[1:])) == 1, counts
        assert counts[0] - counts[1] < 10, counts
        assert counts[1] <= 15, counts
        counts.clear()
        statements = 0
        again = await service.services[InvoiceRun].close(tell=tell)
        assert (again.issued, again.drafted) == (0, 0)
        assert counts[1:] == [0] * (len(owners) - 1), "what is closed costs nothing"
        event.remove(engine, "before_cursor_execute", count)
        await _begun_anywhere_it_comes_by_everybody_once(service)


async def _begun_anywhere_it_comes_by_everybody_once(service: Service) -> None:
    run, in_order = service.services[InvoiceRun], list[UUID]()
    await run.close(tell=in_order.append)
    for _ in range(8):
        seen: list[UUID] = []
        await run.close(tell=seen.append, anywhere=True)
        begun = in_order.index(seen[0])
        assert seen == in_order[begun:] + in_order[:begun]
