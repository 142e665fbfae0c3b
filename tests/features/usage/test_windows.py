"""Windows that open late: what was recorded meanwhile moves to them, exactly, whoever moves it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import URL, text

from app.catalog.service import CatalogService
from app.kernel.clock import ManualClock
from app.kernel.periods import Period
from app.organizations.domain import QuotaWindows
from app.organizations.service import OrganizationService
from app.usage.service import recount
from app.usage.service.recount import WindowRecount
from tests.factories.people import Owner, an_owner
from tests.factories.subscriptions import call, subscribed
from tests.support.recount import broken, misplaced
from tests.support.service import Service, running
from tests.support.stripe_account import Shop, a_shop

EVENTS = "/api/v1/usage/events"


def at(month: int, day: int, hour: int = 0) -> datetime:
    return datetime(2026 if month > 6 else 2027, month, day, hour, tzinfo=UTC)


async def signed_in(service: Service, owner: Owner) -> httpx.AsyncClient:
    async with service.client() as anonymous:
        answer = await anonymous.post(
            "/api/v1/auth/login", json={"email": owner.email, "password": owner.password}
        )
    return service.client(answer.json()["access_token"])


async def use(service: Service, owner: Owner, prefix: str, times: list[datetime]) -> None:
    client = await signed_in(service, owner)
    rows = [
        {"id": f"{prefix}{number}", "type": "debate", "occurred_at": each.isoformat()}
        for number, each in enumerate(times)
    ]
    answer = await client.post(f"{EVENTS}/batch", json={"events": rows})
    assert answer.json()["recorded"] == len(rows), answer.text


async def counters(service: Service, owner: Owner) -> dict[datetime, int]:
    async with service.work.begin(owner.organization_id) as session:
        rows = await session.execute(
            text(
                "select window_start, used from usage_counters"
                " where organization_id = :id and metric = 'debates' and used <> 0"
            ),
            {"id": owner.organization_id},
        )
        return {row[0].astimezone(UTC): int(row[1]) for row in rows}


async def grant(service: Service, owner: Owner, plan: str | None, window: Period | None) -> None:
    catalog = service.services[CatalogService].active
    granted = catalog.entitlements(plan, window) if plan else catalog.free_entitlements()
    organizations = service.services[OrganizationService]
    await organizations.apply_entitlements(owner.organization_id, granted)


async def debates(owner: Owner) -> dict[str, Any]:
    answer = await call(owner, "GET", "quota")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = next(row for row in answer.json()["data"] if row["metric"] == "debates")
    return found


async def test_what_was_used_before_a_late_payment_counts_in_the_new_period(
    fresh_url: URL, clock: ManualClock
) -> None:
    async with a_shop(fresh_url, clock) as shop:
        owner = await subscribed(shop)
        service = shop.service
        await use(service, owner, "before", [clock.now()] * 3)
        await shop.decline_from_now_on()
        await shop.advance(days=31, hours=1)
        renewal = at(12, 21, 9)
        await use(service, owner, "overdue", [clock.now() - timedelta(minutes=5)] * 2)
        await use(service, owner, "late", [renewal - timedelta(minutes=1)])
        assert await counters(service, owner) == {at(11, 21, 9): 6}
        assert (await debates(owner))["used"] == 6, "an unpaid renewal gives no fresh quota"
        await shop.decline_from_now_on(None)
        await pay(shop)
        quota = await debates(owner)
        assert (quota["used"], quota["resets_at"]) == (2, "2027-01-21T09:00:00Z")
        assert await counters(service, owner) == {at(11, 21, 9): 4, renewal: 2}
        assert await misplaced(service, owner.organization_id) == []
        assert await broken(service, owner.organization_id) == {}


async def pay(shop: Shop) -> None:
    for invoice in shop.account.find("invoice"):
        if invoice["status"] == "open":
            url = str(invoice["hosted_invoice_url"])
            answer = await shop.account.click(url)
            assert answer.status_code < 400, answer.text
    await shop.deliver()


async def test_a_first_payment_whose_webhook_is_late(service: Service) -> None:
    owner = await an_owner(service)
    now = service.clock.now()
    await use(service, owner, "free", [now - timedelta(hours=5)] * 4)
    await use(service, owner, "bought", [now - timedelta(minutes=5)] * 3)
    window = Period(now - timedelta(minutes=10), at(12, 21))
    await grant(service, owner, "starter", window)
    await service.drain()
    assert await counters(service, owner) == {at(11, 1): 4, window.start: 3}
    assert (await debates(owner))["remaining"] == 47
    assert await misplaced(service, owner.organization_id) == []
    assert (
        await service.services[WindowRecount].place_again(owner.organization_id, window.start) == 0
    ), "a second run finds nothing"


async def test_grace_that_ran_out_before_the_payment_came(service: Service) -> None:
    """Overdue, then free, then paid for all of it: events move out of both windows."""
    owner, clock = await an_owner(service), service.clock
    november, december = Period(at(11, 21), at(12, 21)), Period(at(12, 21), at(1, 21))
    await grant(service, owner, "starter", november)
    clock.set(at(12, 25))
    await use(service, owner, "overdue", [at(12, 20), at(12, 21), at(12, 24)])
    assert await counters(service, owner) == {november.start: 3}
    clock.set(at(12, 31))
    await grant(service, owner, None, None)
    clock.set(at(1, 2))
    await use(service, owner, "free", [at(12, 31, 1), at(1, 1), at(1, 1, 5), at(12, 30)])
    await service.drain()
    assert await counters(service, owner) == {november.start: 4, at(12, 1): 1, at(1, 1): 2}
    await grant(service, owner, "starter", december)
    await service.drain()
    assert await counters(service, owner) == {november.start: 1, december.start: 6}
    clock.set(at(1, 21, 1))
    january = Period(at(1, 21), at(2, 21))
    await grant(service, owner, "starter", january)
    await use(service, owner, "later", [at(12, 20), at(12, 24), at(1, 1), at(1, 21)])
    await service.drain()
    assert await counters(service, owner) == {
        november.start: 2,
        december.start: 8,
        january.start: 1,
    }
    assert await misplaced(service, owner.organization_id) == []
    assert await broken(service, owner.organization_id) == {}


async def test_a_period_that_was_never_paid_counts_in_the_one_before(service: Service) -> None:
    owner, clock = await an_owner(service), service.clock
    november, january = Period(at(11, 21), at(12, 21)), Period(at(1, 21), at(2, 21))
    await grant(service, owner, "starter", november)
    clock.set(at(1, 22))
    await use(service, owner, "unpaid", [at(12, 20), at(1, 5), at(1, 21, 5)])
    await grant(service, owner, "starter", january)
    await use(service, owner, "after", [at(12, 20), at(1, 5), at(1, 21, 5)])
    await service.drain()
    assert await counters(service, owner) == {november.start: 4, january.start: 2}
    assert await misplaced(service, owner.organization_id) == []


async def test_a_paid_window_that_comes_back_takes_the_free_days_with_it(
    service: Service,
) -> None:
    owner, clock = await an_owner(service), service.clock
    november = Period(at(11, 21), at(12, 21))
    await grant(service, owner, "starter", november)
    for month, day, plan in (
        (11, 25, None),
        (11, 28, "starter"),
        (12, 2, None),
        (12, 3, "starter"),
    ):
        clock.set(at(month, day))
        await grant(service, owner, plan, november if plan else None)
        await use(service, owner, f"{month}-{day}", [clock.now() - timedelta(hours=1), clock.now()])
        await service.drain()
        assert await misplaced(service, owner.organization_id) == []
    assert await counters(service, owner) == {november.start: 8}
    assert await broken(service, owner.organization_id) == {}


async def test_voided_events_move_and_still_count_for_nothing(service: Service) -> None:
    owner, now = await an_owner(service), service.clock.now()
    await use(service, owner, "n", [now - timedelta(minutes=5)] * 3)
    voided = await owner.client.post(f"{EVENTS}/n0/void", json={"reason": "before"})
    assert voided.status_code == 200
    window = Period(now - timedelta(minutes=10), at(12, 21))
    await grant(service, owner, "starter", window)
    await service.drain()
    voided = await owner.client.post(f"{EVENTS}/n1/void", json={"reason": "after"})
    assert voided.status_code == 200
    assert await counters(service, owner) == {window.start: 1}
    assert await misplaced(service, owner.organization_id) == []
    assert await broken(service, owner.organization_id) == {}


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_recount_while_events_come_and_go(
    fresh_url: URL, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """Two processes record, repeat and void while one or two workers move events in small parts."""
    monkeypatch.setattr(recount, "_AT_ONCE", 40)
    async with running(fresh_url, clock) as one, running(fresh_url, clock) as two:
        owner = await an_owner(one, "enterprise")
        there = two.client(owner.token)
        now = clock.now()
        await use(one, owner, "n", [now - timedelta(minutes=number % 60) for number in range(900)])
        window = Period(now - timedelta(minutes=30), at(12, 21))

        async def record(client: httpx.AsyncClient, prefix: str) -> None:
            for batch in range(25):
                rows = [
                    {
                        "id": f"{prefix}{batch}-{number}",
                        "type": "debate",
                        "occurred_at": (now - timedelta(minutes=number * 6)).isoformat(),
                    }
                    for number in range(10)
                ]
                answer = await client.post(f"{EVENTS}/batch", json={"events": rows})
                assert answer.json()["errors"] == 0, answer.text

        async def void(client: httpx.AsyncClient, offset: int) -> None:
            for number in range(offset, 200, 2):
                answer = await client.post(f"{EVENTS}/n{number}/void", json={"reason": "r"})
                assert answer.status_code == 200, answer.text

        async def move(service: Service) -> int:
            return await service.services[WindowRecount].place_again(
                owner.organization_id, window.start
            )

        async def change() -> None:
            await asyncio.sleep(0.05)
            await grant(one, owner, "enterprise", window)
            moved = await asyncio.gather(*(move(each) for each in (one, two)[:workers]))
            assert sum(moved) >= 450

        await asyncio.gather(
            record(owner.client, "a"),
            record(there, "b"),
            void(owner.client, 0),
            void(there, 1),
            change(),
        )
        assert await misplaced(one, owner.organization_id) == []
        assert await broken(one, owner.organization_id) == {}
        assert sum((await counters(one, owner)).values()) == 900 - 200 + 500


async def test_one_batch_may_reach_into_a_paid_window_inside_of_its_month(
    service: Service,
) -> None:
    owner, clock = await an_owner(service), service.clock
    paid = Period(at(11, 5), at(12, 5))
    await grant(service, owner, "starter", paid)
    await grant(service, owner, None, None)
    await service.drain()
    times = [clock.now(), at(11, 18), at(11, 2), clock.now(), at(11, 5), at(11, 20)]
    await use(service, owner, "n", times)
    assert await counters(service, owner) == {at(11, 1): 3, paid.start: 3}
    assert await misplaced(service, owner.organization_id) == []


def test_stretches_are_cut_where_windows_change() -> None:
    november = Period(at(11, 21), at(12, 21))
    free = QuotaWindows(None, (november,))
    assert free.stretches(at(11, 10), at(2, 5)) == [
        (Period(at(11, 10), at(11, 21)), at(11, 1)),
        (Period(at(11, 21), at(12, 1)), at(11, 21)),
        (Period(at(12, 1), at(12, 21)), at(11, 21)),
        (Period(at(12, 21), at(1, 1)), at(12, 1)),
        (Period(at(1, 1), at(2, 1)), at(1, 1)),
        (Period(at(2, 1), at(2, 5)), at(2, 1)),
    ]
    paid = QuotaWindows(november, ())
    assert paid.stretches(at(12, 1), at(12, 30)) == [
        (Period(at(12, 1), at(12, 21)), at(11, 21)),
        (Period(at(12, 21), at(12, 30)), at(11, 21)),
    ]
