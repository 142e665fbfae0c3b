"""Plans that change in mid-window, trials, years and calendar months, as a customer sees them."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import URL

from app.kernel.clock import ManualClock
from tests.factories.people import Owner, an_owner, grant_plan
from tests.factories.subscriptions import ask, call, subscribed
from tests.support.recount import broken, misplaced
from tests.support.service import running
from tests.support.stripe_account import Shop, a_shop

EVENTS = "/api/v1/usage/events"


async def use(owner: Owner, how_many: int, prefix: str, kind: str = "debate", **more: Any) -> None:
    await call(owner, "GET", "quota")
    rows = [{"id": f"{prefix}{number}", "type": kind, **more} for number in range(how_many)]
    answer = await owner.client.post(f"{EVENTS}/batch", json={"events": rows})
    assert answer.json()["recorded"] == how_many, answer.text


async def enforced(owner: Owner, name: str, kind: str = "debate", **more: Any) -> int:
    body = {"id": name, "type": kind, **more}
    return (await owner.client.post(f"{EVENTS}?enforce=true", json=body)).status_code


async def quota(owner: Owner, metric: str = "debates") -> tuple[Any, Any, Any, str]:
    answer = await call(owner, "GET", "quota")
    assert answer.status_code == 200, answer.text
    row = next(row for row in answer.json()["data"] if row["metric"] == metric)
    return row["used"], row["limit"], row["remaining"], row["resets_at"]


async def sound(shop: Shop, owner: Owner) -> bool:
    service, organization_id = shop.service, owner.organization_id
    return (
        await broken(service, organization_id) == {}
        and await misplaced(service, organization_id) == []
    )


async def test_an_upgrade_moves_the_limit_and_keeps_what_is_used(
    fresh_url: URL, clock: ManualClock
) -> None:
    async with a_shop(fresh_url, clock) as shop:
        owner = await subscribed(shop, "starter")
        await use(owner, 50, "s")
        assert await enforced(owner, "full") == 402
        await shop.advance(days=10)
        changed = await ask(owner, "change", plan="professional")
        assert changed.status_code in (200, 202), changed.text
        await shop.deliver()
        assert await quota(owner) == (50, 200, 150, "2026-12-21T09:00:00Z")
        assert await enforced(owner, "full") == 201
        assert await sound(shop, owner)


async def test_a_downgrade_waits_for_the_period_and_then_finds_a_fresh_window(
    fresh_url: URL, clock: ManualClock
) -> None:
    async with a_shop(fresh_url, clock) as shop:
        owner = await subscribed(shop, "professional")
        await use(owner, 120, "p")
        changed = await ask(owner, "change", plan="starter")
        assert changed.status_code in (200, 202), changed.text
        await shop.deliver()
        assert await quota(owner) == (120, 200, 80, "2026-12-21T09:00:00Z")
        await shop.advance(days=30, hours=1)
        assert await quota(owner) == (0, 50, 50, "2027-01-21T09:00:00Z")
        assert await sound(shop, owner)


async def test_canceled_at_once_the_free_month_counts_what_comes_after(
    fresh_url: URL, clock: ManualClock
) -> None:
    async with a_shop(fresh_url, clock) as shop:
        owner = await subscribed(shop, "starter")
        await use(owner, 30, "s")
        await shop.advance(hours=2)
        canceled = await ask(owner, "cancel", at_period_end=False)
        assert canceled.status_code == 200, canceled.text
        await shop.deliver()
        assert await quota(owner) == (0, 10, 10, "2026-12-01T00:00:00Z")
        late = (clock.now().replace(hour=10)).isoformat()
        await use(owner, 1, "late", occurred_at=late)
        assert (await quota(owner))[0] == 0, "it happened while the paid window ran"
        assert await sound(shop, owner)


async def test_a_trial_is_a_window_of_its_own(fresh_url: URL, clock: ManualClock) -> None:
    async with a_shop(fresh_url, clock) as shop:
        owner = await subscribed(shop, "professional", trial_days=14)
        assert await quota(owner) == (0, 200, 200, "2026-12-05T09:00:00Z")
        await use(owner, 7, "trial")
        await shop.advance(days=14, hours=2)
        assert await quota(owner) == (0, 200, 200, "2027-01-05T09:00:00Z")
        await use(owner, 2, "late", occurred_at="2026-12-05T08:59:59Z")
        await use(owner, 3, "paid", occurred_at="2026-12-05T09:00:00Z")
        assert (await quota(owner))[0] == 3
        assert await sound(shop, owner)


async def test_a_plan_that_is_paid_by_the_year_has_a_window_of_a_year(
    fresh_url: URL, clock: ManualClock
) -> None:
    async with a_shop(fresh_url, clock) as shop:
        owner = await subscribed(shop, "professional", interval="year")
        await use(owner, 5, "y")
        await shop.advance(days=60)
        assert await quota(owner) == (5, 200, 195, "2027-11-21T09:00:00Z")
        assert await sound(shop, owner)


async def test_where_windows_are_calendar_months_a_plan_moves_only_limits(
    fresh_url: URL, clock: ManualClock
) -> None:
    async with running(fresh_url, clock, catalog="automation") as service:
        owner = await an_owner(service, "basic")
        await use(owner, 2, "b", "tokens", tokens_in=40_000, tokens_out=5_000)
        assert await quota(owner, "tokens") == (90_000, 100_000, 10_000, "2026-12-01T00:00:00Z")
        assert await enforced(owner, "more", "tokens", tokens_in=10_001) == 402
        await grant_plan(service, owner.organization_id, "pro")
        assert await enforced(owner, "more", "tokens", tokens_in=10_001) == 201
        assert (await quota(owner, "tokens"))[:2] == (100_001, 1_000_000)
        # Back below what is used: nothing is left, nothing is lost.
        await grant_plan(service, owner.organization_id, "basic")
        assert (await quota(owner, "tokens"))[:3] == (100_001, 100_000, 0)
        assert await enforced(owner, "again", "tokens", tokens_in=1) == 402
        usage = (await owner.client.get("/api/v1/billing/usage")).json()["usage"]
        assert usage["month"]["tokens"] == 100_001, "tokens, not events"
        clock.set(datetime(2026, 12, 1, 0, 0, 1, tzinfo=UTC))
        assert (await quota(owner, "tokens"))[0] == 0
        await use(owner, 1, "late", "tokens", tokens_in=7, occurred_at="2026-11-30T23:59:59.999Z")
        await use(owner, 1, "new", "tokens", tokens_in=9, occurred_at="2026-12-01T00:00:00Z")
        assert (await quota(owner, "tokens"))[0] == 9
        assert await broken(service, owner.organization_id) == {}
