"""Quotas: what is left is said, what is hard holds, and the window is that of the event."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlalchemy import URL, select, text, update

from app.catalog.service import CatalogService
from app.kernel.clock import ManualClock
from app.kernel.ids import new_id
from app.kernel.periods import Period
from app.organizations.service import OrganizationService
from app.usage.models import UsageCounter
from tests.factories.people import Owner, an_owner, grant_plan
from tests.support.service import Service, running

EVENTS = "/api/v1/usage/events"
ENFORCED = "/api/v1/usage/events?enforce=true"


async def use(owner: Owner, how_many: int, prefix: str = "u", kind: str = "debate") -> None:
    rows = [{"id": f"{prefix}{number}", "type": kind} for number in range(how_many)]
    answer = await owner.client.post(EVENTS + "/batch", json={"events": rows})
    assert answer.json()["recorded"] == how_many, answer.text


async def signed_in(service: Service, owner: Owner) -> httpx.AsyncClient:
    """The owner with a token that is fresh at the clock's time."""
    async with service.client() as anonymous:
        answer = await anonymous.post(
            "/api/v1/auth/login", json={"email": owner.email, "password": owner.password}
        )
    return service.client(answer.json()["access_token"])


async def quota(owner: Owner, metric: str = "debates") -> dict[str, Any]:
    answer = await owner.client.get("/api/v1/billing/quota")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = next(row for row in answer.json()["data"] if row["metric"] == metric)
    return found


async def test_every_metric_of_the_catalog_has_a_quota(service: Service) -> None:
    owner = await an_owner(service)
    answer = await owner.client.get("/api/v1/billing/quota")
    by_metric = {row["metric"]: row for row in answer.json()["data"]}
    assert set(by_metric) == set(service.services[CatalogService].active.metrics)
    assert by_metric["debates"] == {
        "metric": "debates",
        "limit": 10,
        "used": 0,
        "held": 0,
        "remaining": 10,
        "resets_at": "2026-12-01T00:00:00Z",
        "policy": "hard",
    }
    assert by_metric["api_calls"]["limit"] is None
    assert by_metric["api_calls"]["remaining"] is None


async def test_metered_tokens_are_counted_over_all_events(service: Service) -> None:
    owner = await an_owner(service, "enterprise_plus")
    await owner.client.post(
        EVENTS, json={"id": "a", "type": "debate", "tokens_in": 70, "tokens_out": 30}
    )
    await owner.client.post(EVENTS, json={"id": "b", "type": "tokens", "tokens_in": 5})
    assert (await quota(owner, "tokens_input"))["used"] == 75
    assert (await quota(owner, "tokens_output"))["used"] == 30
    assert (await quota(owner, "tokens"))["used"] == 5


async def test_a_hard_limit_refuses_only_who_asks_for_it(service: Service) -> None:
    owner = await an_owner(service)
    await use(owner, 10)
    refused = await owner.client.post(ENFORCED, json={"id": "more", "type": "debate"})
    assert refused.status_code == 402, refused.text
    body = refused.json()
    assert refused.headers["content-type"] == "application/problem+json"
    shown = ("code", "metric", "limit", "used", "held", "remaining", "plan", "upgrade_to")
    assert [body[name] for name in shown] == [
        "quota_exceeded",
        "debates",
        10,
        10,
        0,
        0,
        "free",
        "starter",
    ]
    # Without enforce it is a fact that happened, and facts are recorded.
    recorded = await owner.client.post(EVENTS, json={"id": "more", "type": "debate"})
    assert recorded.status_code == 201
    assert recorded.json()["quota"]["used"] == 11
    assert recorded.json()["quota"]["remaining"] == 0
    # And a repeat of what was recorded is a repeat, however full it is.
    again = await owner.client.post(ENFORCED, json={"id": "more", "type": "debate"})
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")


async def test_a_refused_event_may_come_again_when_there_is_room(service: Service) -> None:
    owner = await an_owner(service)
    await use(owner, 10)
    event = {"id": "patient", "type": "debate"}
    assert (await owner.client.post(ENFORCED, json=event)).status_code == 402
    await grant_plan(service, owner.organization_id, "starter")
    answer = await owner.client.post(ENFORCED, json=event)
    assert answer.status_code == 201
    assert answer.json()["quota"]["limit"] == 50, "used stays, the limit moves"
    assert answer.json()["quota"]["used"] == 11


async def test_what_does_not_fit_whole_does_not_fit(service: Service) -> None:
    owner = await an_owner(service)
    await use(owner, 7)
    for quantity, status in ((4, 402), (3, 201), (1, 402)):
        answer = await owner.client.post(
            ENFORCED, json={"id": f"q{quantity}", "type": "debate", "quantity": quantity}
        )
        assert answer.status_code == status, answer.text
    assert (await quota(owner))["used"] == 10


async def test_a_batch_can_be_held_to_the_limit_too(service: Service) -> None:
    owner = await an_owner(service)
    rows = [{"id": f"b{number}", "type": "debate"} for number in range(14)]
    answer = await owner.client.post(EVENTS + "/batch?enforce=true", json={"events": rows})
    body = answer.json()
    assert (body["recorded"], body["errors"]) == (10, 4)
    assert body["results"][-1]["error"]["code"] == "quota_exceeded"
    assert (await quota(owner))["used"] == 10


async def test_check_is_advice(service: Service) -> None:
    owner = await an_owner(service)
    await use(owner, 8)
    for name, quantity, allowed in (("debates", 2, True), ("debate", 3, False), ("tts", 9, True)):
        answer = await owner.client.post(
            "/api/v1/usage/check", json={"metric": name, "quantity": quantity}
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["allowed"] is allowed
        assert answer.json()["is_advice"] is True
    assert answer.json()["limit"] is None
    assert (await quota(owner))["used"] == 8
    unknown = await owner.client.post("/api/v1/usage/check", json={"metric": "levitation"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_metric")


async def test_held_units_count_against_the_limit(service: Service) -> None:
    owner = await an_owner(service)
    await use(owner, 5)
    async with service.work.begin(owner.organization_id) as session:
        await session.execute(
            update(UsageCounter)
            .where(UsageCounter.organization_id == owner.organization_id)
            .values(held=4)
        )
    for name, status in (("fits", 201), ("does not", 402)):
        answer = await owner.client.post(ENFORCED, json={"id": name, "type": "debate"})
        assert answer.status_code == status
    assert answer.json()["held"] == 4
    assert (await quota(owner))["remaining"] == 0


@pytest.mark.parametrize("rival", [False, True], ids=["check and consume", "read then write"])
async def test_a_hundred_at_once_for_the_last_ten(
    fresh_url: URL, clock: ManualClock, rival: bool
) -> None:
    """Two service instances on one database; the rival reads first and overshoots."""
    async with running(fresh_url, clock) as one, running(fresh_url, clock) as two:
        owner = await an_owner(one, "professional")
        await use(owner, 190)
        clients = [owner.client, two.client(owner.token)]
        warm = await clients[1].get("/api/v1/billing/quota")
        assert warm.status_code == 200

        async def enforce(number: int) -> bool:
            body = {"id": f"last{number}", "type": "debate"}
            answer = await clients[number % 2].post(ENFORCED, json=body)
            assert answer.status_code in (201, 402), answer.text
            return answer.status_code == 201

        async def read_then_write(number: int) -> bool:
            client = clients[number % 2]
            body = {"metric": "debates", "quantity": 1}
            checked = await client.post("/api/v1/usage/check", json=body)
            if not checked.json()["allowed"]:
                return False
            await client.post(EVENTS, json={"id": f"last{number}", "type": "debate"})
            return True

        consume = read_then_write if rival else enforce
        allowed = sum(await asyncio.gather(*(consume(number) for number in range(100))))
        used = (await quota(owner))["used"]
        assert used == 190 + allowed
        if rival:
            assert allowed > 10, "the test can tell a limit that does not hold"
        else:
            assert allowed == 10


async def test_a_repeat_of_an_enforced_event_takes_nothing(service: Service) -> None:
    owner = await an_owner(service)
    await use(owner, 8)
    answers = await asyncio.gather(
        *(
            owner.client.post(ENFORCED, json={"id": f"twice{number % 2}", "type": "debate"})
            for number in range(20)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 18 + [201] * 2
    assert (await quota(owner))["used"] == 10


async def test_an_event_counts_in_the_window_in_which_it_happened(service: Service) -> None:
    owner = await an_owner(service)
    now = service.clock.now()
    await use(owner, 3, "free")
    catalog = service.services[CatalogService].active
    organizations = service.services[OrganizationService]
    service.clock.advance(hours=1)
    start = service.clock.now()
    window = Period(start, datetime(2026, 12, 21, 10, tzinfo=UTC))
    await organizations.apply_entitlements(
        owner.organization_id, catalog.entitlements("starter", window)
    )
    await use(owner, 2, "paid")
    assert await quota(owner) == {
        "metric": "debates",
        "limit": 50,
        "used": 2,
        "held": 0,
        "remaining": 48,
        "resets_at": "2026-12-21T10:00:00Z",
        "policy": "hard",
    }
    late = {"id": "late", "type": "debate", "occurred_at": now.isoformat()}
    assert (await owner.client.post(EVENTS, json=late)).json()["quota"]["used"] == 4
    assert (await quota(owner))["used"] == 2
    service.clock.set(window.end + timedelta(hours=1))
    owner.client = await signed_in(service, owner)
    following = Period(window.end, datetime(2027, 1, 21, 10, tzinfo=UTC))
    await organizations.apply_entitlements(
        owner.organization_id, catalog.entitlements("starter", following)
    )
    assert (await quota(owner))["used"] == 0
    late = {"id": "later", "type": "debate", "occurred_at": (start + timedelta(days=9)).isoformat()}
    assert (await owner.client.post(EVENTS, json=late)).json()["quota"]["used"] == 3
    assert (await quota(owner))["used"] == 0


async def test_a_change_of_plan_is_seen_by_the_very_next_event(
    fresh_url: URL, clock: ManualClock
) -> None:
    """The other process has the old plan in memory; the statement notices."""
    async with running(fresh_url, clock) as one, running(fresh_url, clock) as two:
        owner = await an_owner(one)
        there = two.client(owner.token)
        for number in range(10):
            await there.post(ENFORCED, json={"id": f"n{number}", "type": "debate"})
        assert (await there.post(ENFORCED, json={"id": "x", "type": "debate"})).status_code == 402
        await grant_plan(one, owner.organization_id, "starter")
        assert (await there.post(ENFORCED, json={"id": "x", "type": "debate"})).status_code == 201
        await grant_plan(one, owner.organization_id, "free")
        assert (await there.post(ENFORCED, json={"id": "y", "type": "debate"})).status_code == 402


async def test_a_threshold_is_announced_once_a_window(service: Service) -> None:
    from app.usage.events import QuotaThresholdReached
    from app.usage.service.ingest import UsageIngest
    from app.usage.service.notices import QuotaNotices

    owner = await an_owner(service)
    await use(owner, 7)
    seen: list[int] = []
    notices: QuotaNotices = service.services[UsageIngest]._notices
    announce = service.work.announce

    def listen(fact: Any) -> None:
        if isinstance(fact, QuotaThresholdReached):
            assert fact.organization_id == owner.organization_id
            assert fact.metric == "debates"
            seen.append(fact.percent)
        announce(fact)

    service.work.announce = listen  # type: ignore[method-assign]
    try:
        for count, expected in ((1, [80]), (1, [80]), (1, [80, 100]), (1, [80, 100])):
            await use(owner, count, new_id().hex)
            await notices.finish()
            assert seen == expected
        notices._seen.clear()
        await use(owner, 1, "after a restart")
        await notices.finish()
        assert seen == [80, 100]
    finally:
        del service.work.announce


async def test_credits_are_taken_by_every_call(fresh_url: URL, clock: ManualClock) -> None:
    async with running(fresh_url, clock, catalog="opscenter") as service:
        owner = await an_owner(service, "professional")
        for kind, how_many in (("inference", 450), ("embedding", 120), ("tts", 10), ("stt", 5)):
            await use(owner, how_many, kind, kind)
        answer = await owner.client.post(ENFORCED, json={"id": "over", "type": "api_call"})
        assert answer.status_code == 201, "overage is allowed and charged"
        body = (await owner.client.get("/api/v1/billing/usage")).json()
        assert body["tier"] == "professional"
        assert body["usage"]["today"]["inference"] == 450
        assert body["usage"]["month"] == body["usage"]["today"]
        assert body["credits"] == {
            "included": 500,
            "used": 585,
            "remaining": 0,
            "overage": 85,
            "overage_cost": "0.17",
            "price_per_1k": "2",
        }


async def test_where_nothing_is_free_nothing_is_allowed(fresh_url: URL, clock: ManualClock) -> None:
    async with running(fresh_url, clock, catalog="automation") as service:
        owner = await an_owner(service)
        body = {"id": "a", "type": "tokens", "tokens_in": 1}
        refused = await owner.client.post(ENFORCED, json=body)
        assert (refused.status_code, refused.json()["upgrade_to"]) == (402, "basic")
        assert refused.json()["limit"] == 0
        await grant_plan(service, owner.organization_id, "basic")
        body = {"id": "b", "type": "tokens", "tokens_in": 60_000, "tokens_out": 40_000}
        assert (await owner.client.post(ENFORCED, json=body)).status_code == 201
        body = {"id": "c", "type": "tokens", "tokens_out": 1}
        assert (await owner.client.post(ENFORCED, json=body)).status_code == 402


async def test_entitlements_name_the_plan_that_would_do(service: Service) -> None:
    owner = await an_owner(service, "professional")
    for feature, expected in (
        ("api_access", (True, "professional", None)),
        ("sso", (False, "professional", "enterprise")),
        ("flying", (False, "professional", None)),
    ):
        body = (await owner.client.get(f"/api/v1/billing/entitlements/{feature}")).json()
        assert (body["allowed"], body["plan"], body["upgrade_to"]) == expected
        assert body["feature"] == feature


async def test_the_organization_shows_its_debates(service: Service) -> None:
    owner = await an_owner(service)
    await use(owner, 10)
    body = (await owner.client.get(f"/api/v1/organizations/{owner.id}")).json()
    assert body["usage"]["debates_used"] == 10
    assert body["usage"]["debates_remaining"] == 0
    assert body["usage"]["is_at_limit"] is True


OWN = """\
name: own
window: calendar_month
default_plan: one
metrics:
  peak: {unit: seat, aggregation: max}
  level: {unit: gigabyte, aggregation: latest}
  people: {unit: person, aggregation: unique, unique_field: user_id}
  jobs: {unit: job, aggregation: count}
plans:
  - {key: one, name: One, seats: 1, limits: {peak: 50}}
"""


async def test_every_aggregation_counts_as_its_name_says(
    fresh_url: URL, clock: ManualClock, tmp_path: Any
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(OWN)
    async with running(fresh_url, clock, catalog=str(path)) as service:
        owner = await an_owner(service)
        now = clock.now()
        sent: list[dict[str, Any]] = []
        for number, (quantity, minutes, user) in enumerate(
            [(3, 50, "ann"), (9, 10, "bob"), (4, 5, "ann"), (2, 30, "eve")]
        ):
            at = (now - timedelta(minutes=minutes)).isoformat()
            for kind in ("peak", "level", "people", "jobs"):
                sent.append(
                    {
                        "id": f"{kind}{number}",
                        "type": kind,
                        "quantity": quantity,
                        "occurred_at": at,
                        "user_id": user,
                    }
                )
        for rows in (sent[:9], sent[9:], sent):
            await owner.client.post(EVENTS + "/batch", json={"events": rows})

        async def figures() -> dict[str, Decimal]:
            async with service.work.begin(owner.organization_id) as session:
                rows = await session.execute(
                    select(UsageCounter.metric, UsageCounter.used).where(
                        UsageCounter.organization_id == owner.organization_id
                    )
                )
                return {row[0]: row[1] for row in rows}

        assert await figures() == {"peak": 9, "level": 4, "people": 3, "jobs": 4}
        for gone in ("peak1", "level2", "people3", "people0", "jobs0"):
            answer = await owner.client.post(f"{EVENTS}/{gone}/void", json={"reason": "test"})
            assert answer.status_code == 200, answer.text
        assert await figures() == {"peak": 4, "level": 9, "people": 2, "jobs": 3}


async def test_partitions_are_made_ahead_and_once(fresh_url: URL, clock: ManualClock) -> None:
    from app.usage.service.partitions import Partitions

    async with running(fresh_url, clock) as one, running(fresh_url, clock) as two:
        owner = await an_owner(one, "enterprise")
        async with one.work.begin_platform() as session:
            names = await session.scalars(
                text("select inhrelid::regclass::text from pg_inherits order by 1")
            )
            assert set(names) >= {
                "usage_events_2026_10",
                "usage_events_2026_11",
                "usage_events_2026_12",
                "usage_events_2027_01",
                "usage_events_default",
            }
        # Two months on nobody made partitions; what came meanwhile moves to its own.
        clock.set(datetime(2027, 3, 3, tzinfo=UTC))
        owner.client = await signed_in(one, owner)
        await use(owner, 5)
        made = await asyncio.gather(*(each.services[Partitions].make() for each in (one, two)))
        assert sum(made) == 4
        async with one.work.begin_platform() as session:
            counted = await session.scalar(text("select count(*) from usage_events_2027_03"))
            left = await session.scalar(text("select count(*) from usage_events_default"))
        assert (counted, left) == (5, 0)
        await use(owner, 5, "after")
        repeat = await owner.client.post(EVENTS, json={"id": "u0", "type": "debate"})
        assert repeat.json()["status"] == "duplicate"
