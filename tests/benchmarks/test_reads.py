"""What the benchmark of reads writes by itself fits the schema."""

from __future__ import annotations

from sqlalchemy import text

from benchmarks.cases.reads import SUBSCRIBE, SUBSCRIPTION
from tests.factories.people import an_owner
from tests.support.service import Service


async def test_the_subscription_that_is_read_is_one(service: Service) -> None:
    owner = await an_owner(service)
    async with service.work.begin_platform() as session:
        await session.execute(text(SUBSCRIBE.format(owner.organization_id)))
    held = (await owner.client.get(SUBSCRIPTION)).json()
    assert (held["status"], held["amount"]) == ("active", 99_900)
