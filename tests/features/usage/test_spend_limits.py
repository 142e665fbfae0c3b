"""Limits on spending: what they have seen is what was spent, whoever spends meanwhile."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.kernel.ids import new_id
from app.usage.errors import SpendLimitNotFound
from app.usage.repository.spend import SpendChange, SpendRepository
from app.usage.service.spend_limits import SpendLimits
from app.usage.spend import Limit, Override, Refusal, SpendLabels, SpendPeriod, SpendScope
from tests.conftest import START
from tests.factories.people import Owner, an_owner
from tests.support.service import Service

EVENTS = "/api/v1/usage/events"


def a_limit(
    amount: str = "10",
    *,
    scope: SpendScope = SpendScope.ORGANIZATION,
    subject: str = "",
    period: SpendPeriod = SpendPeriod.MONTHLY,
    **changes: Any,
) -> Limit:
    values: dict[str, Any] = {
        "soft_usd": None,
        "hard_usd": Decimal(amount),
        "thresholds": (Decimal("0.5"), Decimal(1)),
        "auto_suspend": False,
        **changes,
    }
    return Limit(new_id(), scope, subject, period, Decimal(amount), **values)


async def spend(owner: Owner, key: str, **fields: Any) -> None:
    """One call that costs 0.0165 USD: 1,000 tokens in and 900 out of claude-sonnet-4."""
    body = {
        "id": key,
        "type": "tokens",
        "provider": "anthropic",
        "model": "claude-sonnet-4",
        "tokens_in": 1000,
        "tokens_out": 900,
        **fields,
    }
    answer = await owner.client.post(EVENTS, json=body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["cost_usd"] == "0.0165"


COST = Decimal("0.0165")


async def test_a_new_limit_begins_with_what_its_period_has_spent(service: Service) -> None:
    owner = await an_owner(service)
    await spend(owner, "last-month", occurred_at="2026-10-31T23:59:59Z")
    await spend(owner, "a", workspace="red", user_id="u", debate_id="d")
    await spend(owner, "b", workspace="blue", occurred_at="2026-11-01T00:00:00Z")
    limits = service.services[SpendLimits]
    expected = [
        (SpendScope.ORGANIZATION, "", SpendPeriod.MONTHLY, 2),
        (SpendScope.ORGANIZATION, "", SpendPeriod.DAILY, 1),
        (SpendScope.ORGANIZATION, "", SpendPeriod.TOTAL, 3),
        (SpendScope.WORKSPACE, "red", SpendPeriod.MONTHLY, 1),
        (SpendScope.WORKSPACE, "blue", SpendPeriod.TOTAL, 1),
        (SpendScope.WORKSPACE, "green", SpendPeriod.TOTAL, 0),
        (SpendScope.USER, "u", SpendPeriod.YEARLY, 1),
        (SpendScope.DEBATE, "d", SpendPeriod.TOTAL, 1),
        (SpendScope.MODEL, "claude-sonnet-4", SpendPeriod.QUARTERLY, 3),
        (SpendScope.MODEL, "anthropic/claude-sonnet-4", SpendPeriod.MONTHLY, 2),
        (SpendScope.MODEL, "openai/claude-sonnet-4", SpendPeriod.MONTHLY, 0),
    ]
    for scope, subject, period, events in expected:
        limit = a_limit(scope=scope, subject=subject, period=period)
        standing = await limits.put(owner.organization_id, limit)
        assert standing.posted == events * COST, (scope, subject, period)
        assert standing.period_start == period.start(service.clock.now())
        # A second time changes nothing.
        again = await limits.put(owner.organization_id, limit)
        assert again == standing
    assert len(await limits.standings(owner.organization_id)) == len(expected)


async def test_a_limit_of_someone_else_is_not_found(service: Service) -> None:
    owner, stranger = await an_owner(service), await an_owner(service)
    limits = service.services[SpendLimits]
    limit = a_limit()
    await limits.put(owner.organization_id, limit)
    for call in (limits.remove, limits.suspend, limits.resume, limits.standing):
        with pytest.raises(SpendLimitNotFound):
            await call(stranger.organization_id, limit.id)
    assert (await limits.standing(owner.organization_id, limit.id)).limit == limit


async def test_a_removed_limit_is_gone_and_counts_again_when_it_returns(service: Service) -> None:
    owner = await an_owner(service)
    limits = service.services[SpendLimits]
    limit = a_limit()
    await limits.put(owner.organization_id, limit)
    await limits.remove(owner.organization_id, limit.id)
    with pytest.raises(SpendLimitNotFound):
        await limits.remove(owner.organization_id, limit.id)
    await spend(owner, "meanwhile")
    assert (await limits.put(owner.organization_id, limit)).posted == COST


async def post(service: Service, owner: Owner, cost: str, **fields: Any) -> list[tuple[UUID, Any]]:
    repository = SpendRepository(service.work)
    at = fields.pop("at", service.clock.now())
    async with service.work.begin(owner.organization_id):
        change = SpendChange(SpendLabels(**fields), at, Decimal(cost))
        return await repository.post(owner.organization_id, [change], service.clock.now())


async def test_posting_moves_every_limit_that_it_meets_in_its_period(service: Service) -> None:
    owner = await an_owner(service)
    limits = service.services[SpendLimits]
    key = new_id()
    met = [
        a_limit(),
        a_limit(period=SpendPeriod.TOTAL),
        a_limit(scope=SpendScope.WORKSPACE, subject="red"),
        a_limit(scope=SpendScope.API_KEY, subject=str(key)),
        a_limit(scope=SpendScope.MODEL, subject="m"),
        a_limit(scope=SpendScope.MODEL, subject="p/m"),
    ]
    missed = [
        a_limit(scope=SpendScope.WORKSPACE, subject="blue"),
        a_limit(scope=SpendScope.MODEL, subject="q/m"),
    ]
    for limit in met + missed:
        await limits.put(owner.organization_id, limit)
    labels = {"workspace": "red", "api_key_id": key, "provider": "p", "model": "m"}
    await post(service, owner, "2", **labels)
    await post(service, owner, "-0.5", **labels)
    for limit in met:
        assert (await limits.standing(owner.organization_id, limit.id)).posted == Decimal("1.5")
    for limit in missed:
        assert (await limits.standing(owner.organization_id, limit.id)).posted == 0
    # What happened before the limit's first period is none of its business, except in total.
    await post(service, owner, "3", at=datetime(2026, 10, 31, tzinfo=UTC), **labels)
    seen = [(await limits.standing(owner.organization_id, each.id)).posted for each in met]
    assert seen == [Decimal("1.5"), Decimal("4.5"), *[Decimal("1.5")] * 4]


async def test_a_late_event_counts_in_the_period_in_which_it_happened(service: Service) -> None:
    owner = await an_owner(service)
    limits = service.services[SpendLimits]
    limit = a_limit(period=SpendPeriod.DAILY)
    await limits.put(owner.organization_id, limit)
    await post(service, owner, "1")
    yesterday = service.clock.now()
    service.clock.advance(days=1)
    assert (await limits.standing(owner.organization_id, limit.id)).posted == 0
    await post(service, owner, "2", at=yesterday)
    assert (await limits.standing(owner.organization_id, limit.id)).posted == 0
    async with service.work.begin(owner.organization_id) as session:
        rows = await session.execute(
            text("select posted from spend where limit_id = :id order by period_start"),
            {"id": limit.id},
        )
        assert [row.posted for row in rows] == [3]


async def test_news_are_thresholds_that_were_not_announced(service: Service) -> None:
    owner = await an_owner(service)
    limits = service.services[SpendLimits]
    limit = a_limit("10")
    await limits.put(owner.organization_id, limit)
    assert await post(service, owner, "4.99") == []
    news = await post(service, owner, "0.01")
    assert news == [(limit.id, datetime(2026, 11, 1, tzinfo=UTC))]


async def test_who_suspends_itself_does_so_once_a_period_and_until_its_end(
    service: Service,
) -> None:
    owner = await an_owner(service)
    limits = service.services[SpendLimits]
    limit = a_limit("10", auto_suspend=True)
    await limits.put(owner.organization_id, limit)

    async def is_suspended() -> bool:
        standing = await limits.standing(owner.organization_id, limit.id)
        return standing.is_suspended(service.clock.now())

    await post(service, owner, "9.99")
    assert not await is_suspended()
    await post(service, owner, "0.01")
    assert await is_suspended()
    await limits.resume(owner.organization_id, limit.id)
    await post(service, owner, "5")
    assert not await is_suspended()
    service.clock.set(datetime(2026, 12, 1, tzinfo=UTC))
    await post(service, owner, "10")
    assert await is_suspended()
    service.clock.set(datetime(2027, 1, 1, tzinfo=UTC))
    assert not await is_suspended()
    # By hand, it lasts until someone resumes.
    await limits.suspend(owner.organization_id, limit.id)
    service.clock.advance(days=40)
    assert await is_suspended()


async def test_a_check_says_which_limit_refuses_whom(service: Service) -> None:
    owner = await an_owner(service)
    limits = service.services[SpendLimits]
    limit = a_limit("10", soft_usd=Decimal(9))
    await limits.put(owner.organization_id, limit)
    await post(service, owner, "8.5")

    async def refusal(cost: str, *, may_exceed: bool, caller: str = "usr_1") -> Refusal | None:
        [verdict] = await limits.check(
            owner.organization_id,
            SpendLabels(),
            Decimal(cost),
            caller=caller,
            may_exceed=may_exceed,
        )
        return verdict.refusal

    assert await refusal("0.5", may_exceed=False) is None
    assert await refusal("0.51", may_exceed=False) is Refusal.SOFT_LIMIT
    assert await refusal("0.51", may_exceed=True) is None
    assert await refusal("1.51", may_exceed=True) is Refusal.HARD_LIMIT
    until = service.clock.now() + timedelta(hours=1)
    await limits.override(owner.organization_id, Override(new_id(), limit.id, "usr_1", until))
    assert await refusal("1.51", may_exceed=True) is None
    assert await refusal("1.51", may_exceed=True, caller="usr_2") is Refusal.HARD_LIMIT
    service.clock.set(until)
    assert await refusal("1.51", may_exceed=True) is Refusal.HARD_LIMIT
    await limits.suspend(owner.organization_id, limit.id)
    assert await refusal("0", may_exceed=True) is Refusal.SUSPENDED


async def test_the_database_and_the_service_agree_when_a_period_begins_and_ends(
    service: Service,
) -> None:
    instants = [START + timedelta(hours=hours) for hours in range(-9_000, 9_000, 17)]
    async with service.work.begin_platform() as session:
        for period in SpendPeriod:
            rows = await session.execute(
                text(
                    "select at, usage_period_start(:period, at) as start,"
                    " usage_period_end(:period, usage_period_start(:period, at)) as over"
                    " from unnest(cast(:instants as timestamptz[])) as t (at)"
                ),
                {"period": period.value, "instants": instants},
            )
            for row in rows:
                assert row.start == period.start(row.at)
                assert row.over == period.end(period.start(row.at))
