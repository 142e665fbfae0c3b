"""Thresholds alert once per period, whoever sees them, whatever happens afterwards."""

import asyncio
from decimal import Decimal
from typing import Any

from sqlalchemy import URL, text

from app.kernel.clock import ManualClock
from app.usage.service.spend_notices import SpendNotices
from tests.conftest import START
from tests.factories.people import Owner, an_owner
from tests.features.budgets.test_api import a_budget, spend
from tests.features.budgets.test_holding import hold, state
from tests.support.service import Service, running

BUDGETS = "/api/v1/budgets"


async def alerts(service: Service, owner: Owner) -> list[tuple[str, str, str]]:
    await service.services[SpendNotices].finish()
    await service.drain()
    answer = await owner.client.get(f"{BUDGETS}/alerts")
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["data"]
    return sorted((row["fraction"], row["action"], row["spent_usd"]) for row in rows)


async def test_each_threshold_alerts_once(service: Service) -> None:
    owner = await an_owner(service)
    made = await a_budget(owner)
    await spend(owner, "a", "4.99")
    assert await alerts(service, owner) == []
    await spend(owner, "b", "0.01")
    half = ("0.5", "notify", "5")
    assert await alerts(service, owner) == [half]
    await spend(owner, "c", "1")
    assert await alerts(service, owner) == [half]
    # Several at once are an alert each, and one mail.
    sent = len(service.mail.to(owner.email))
    await spend(owner, "d", "3")
    expected = [half, ("0.75", "warn", "9"), ("0.9", "soft_limit", "9")]
    assert await alerts(service, owner) == expected
    [mail] = service.mail.to(owner.email)[sent:]
    assert mail.subject == "Analytical Engines: Engineering has reached 90 %"
    assert "90 % of 10 USD. Since 2026-11-01 it has seen 9 USD" in mail.text
    assert made["id"] in mail.text
    # Once announced stays announced, when a void takes it back and it comes again.
    await owner.client.post("/api/v1/usage/events/d/void", json={"reason": "wrong"})
    await spend(owner, "e", "3.5")
    assert await alerts(service, owner) == expected
    shown = (await owner.client.get(f"{BUDGETS}/alerts?budget_id={made['id']}")).json()["data"]
    assert [row["budget_name"] for row in shown] == ["Engineering"] * 3


async def test_a_new_period_alerts_anew(service: Service) -> None:
    owner = await an_owner(service)
    await a_budget(owner, period="daily", thresholds=[{"fraction": "0.5", "action": "warn"}])
    await spend(owner, "a", "6")
    assert len(await alerts(service, owner)) == 1
    service.clock.advance(days=1)
    async with service.client() as anonymous:
        login = await anonymous.post(
            "/api/v1/auth/login", json={"email": owner.email, "password": owner.password}
        )
    owner.client = service.client(login.json()["access_token"])
    await spend(owner, "b", "6")
    assert len(await alerts(service, owner)) == 2


async def test_what_is_held_reaches_thresholds_without_anyone_telling(service: Service) -> None:
    owner = await an_owner(service)
    made = await a_budget(owner)
    await hold(service, owner, made, "5")
    assert await alerts(service, owner) == []
    for _ in range(2):
        await service.services[SpendNotices].announce_missed()
    assert await alerts(service, owner) == [("0.5", "notify", "0")]
    # Given back, it stays announced.
    await hold(service, owner, made, "-5")
    await spend(owner, "a", "5")
    assert await alerts(service, owner) == [("0.5", "notify", "0")]


async def test_a_later_price_reaches_thresholds(service: Service) -> None:
    owner = await an_owner(service)
    await a_budget(owner, amount_usd="0.000001")
    row = {"provider": "nobody", "model": "priced-later", "tokens_in": 1000, "tokens_out": 0}
    await owner.client.post("/api/v1/usage/events", json={"id": "a", "type": "tokens", **row})
    assert await alerts(service, owner) == []
    async with service.work.begin_platform() as session:
        await session.execute(
            text(
                "update usage_events set provider = 'anthropic', model = 'claude-sonnet-4'"
                " where organization_id = :id"
            ),
            {"id": owner.organization_id},
        )
    from app.usage.service.corrections import UsageCorrections

    await service.services[UsageCorrections].price_waiting()
    found = await alerts(service, owner)
    assert [fraction for fraction, _, _ in found] == ["0.5", "0.75", "0.9", "1"]
    assert {spent for _, _, spent in found} == {"0.003"}


async def test_a_lower_amount_reaches_thresholds(service: Service) -> None:
    owner = await an_owner(service)
    made = await a_budget(owner, auto_suspend=True)
    await spend(owner, "a", "4")
    assert await alerts(service, owner) == []
    changed = await owner.client.patch(f"{BUDGETS}/{made['id']}", json={"amount_usd": "4"})
    assert changed.json()["is_suspended"] is True
    assert len(await alerts(service, owner)) == 4


async def test_a_budget_made_late_alerts_what_it_finds(service: Service) -> None:
    owner = await an_owner(service)
    await spend(owner, "a", "6")
    await a_budget(owner)
    assert await alerts(service, owner) == [("0.5", "notify", "6")]


async def test_two_processes_alert_once(fresh_url: URL) -> None:
    clock = ManualClock(START)
    async with running(fresh_url, clock) as one, running(fresh_url, clock) as two:
        owner = await an_owner(one)
        made = await a_budget(owner)

        async def spend_by(service: Service, prefix: str) -> None:
            async with service.client(owner.token) as client:
                await asyncio.gather(
                    *(
                        client.post(
                            f"{BUDGETS}/spend", json={"id": f"{prefix}{n}", "amount_usd": "0.5"}
                        )
                        for n in range(20)
                    )
                )

        await asyncio.gather(spend_by(one, "one"), spend_by(two, "two"))
        for service in (one, two):
            await service.services[SpendNotices].finish()
        await asyncio.gather(
            one.services[SpendNotices].announce_missed(),
            two.services[SpendNotices].announce_missed(),
        )
        await two.drain()
        found = await alerts(one, owner)
        assert [fraction for fraction, _, _ in found] == ["0.5", "0.75", "0.9", "1"]
        assert Decimal((await state(owner, made))["spent_usd"]) == 20
        for service in (one, two):
            causes = [mail.reference for mail in service.mail.to(owner.email)]
            assert len(causes) == len(set(causes))
        mails = [
            mail
            for service in (one, two)
            for mail in service.mail.to(owner.email)
            if "has reached" in mail.subject
        ]
        assert 1 <= len(mails) <= 4


async def test_an_alert_job_that_runs_twice_alerts_once(service: Service) -> None:
    owner = await an_owner(service)
    await a_budget(owner)
    await spend(owner, "a", "5")
    await service.services[SpendNotices].finish()
    async with service.work.begin_platform() as session:
        await session.execute(
            text(
                "insert into pgqueuer (priority, created, updated, heartbeat, execute_after,"
                " entrypoint, payload, status)"
                " select priority, created, updated, heartbeat, execute_after, entrypoint,"
                " payload, status from pgqueuer where entrypoint = 'budgets.raise_alert'"
            )
        )
    assert len(await alerts(service, owner)) == 1
    told = [mail for mail in service.mail.to(owner.email) if "has reached" in mail.subject]
    assert len(told) == 1
