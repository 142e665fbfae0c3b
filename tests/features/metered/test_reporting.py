"""Use reaches Stripe, and counts there once, whatever happens on the way."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import URL

from app.gateways.stripe.connection import StripeConnection
from app.gateways.stripe.errors import StripeUnavailable
from app.gateways.stripe.metering import MeteringGateway, MeterReport, StripeMeter
from app.kernel.clock import ManualClock
from app.metered.repository import BatchRepository
from app.metered.service import MeterErrors
from app.subscriptions.service import SubscriptionMirror
from tests.factories.operators import an_operator
from tests.factories.people import an_owner
from tests.factories.subscriptions import ask, subscribed
from tests.features.metered.conftest import EVENTS, Meterage, a_meterage
from tests.support.stripe_account import a_shop
from tests.support.stripe_events import SECRET

BATCHES = "/api/v1/admin/metered/batches"


async def test_use_is_told_by_meter_and_hour_and_summed_up(meterage: Meterage) -> None:
    await meterage.use("a", "b", "c")
    before = await meterage.summary()
    assert (before["tokens_input"]["total_usage"], before["tokens_input"]["stripe_usage"]) == (
        "3000",
        "0",
    )
    assert before["tokens_input"]["pending"] == before["tokens_input"]["waiting"] == "3000"
    assert await meterage.report() == 3
    assert [meterage.at_stripe(one) for one in ("tokens_input", "tokens_output", "debates")] == [
        3000,
        30,
        3,
    ]
    after = await meterage.summary()
    assert set(after) == {"tokens_input", "tokens_output", "debates"}
    assert (after["tokens_input"]["reported"], after["tokens_input"]["pending"]) == ("3000", "0")
    assert (after["debates"]["total_usage"], after["debates"]["stripe_usage"]) == ("3", "3")
    assert await meterage.report() == 0
    [told] = meterage.told("debates")
    [batch] = [row for row in await meterage.batches() if row["metric"] == "debates"]
    assert told["identifier"] == f"usage:{batch['id']}"


async def test_a_lagging_summary_is_shown_as_pending(meterage: Meterage) -> None:
    await meterage.shop.account.control("meters", lag_seconds=300)
    await meterage.use("a")
    await meterage.report()
    shown = (await meterage.summary())["tokens_input"]
    assert (shown["total_usage"], shown["reported"], shown["stripe_usage"], shown["pending"]) == (
        "1000",
        "1000",
        "0",
        "1000",
    )
    meterage.shop.clock.advance(timedelta(minutes=6))
    assert (await meterage.summary())["tokens_input"]["pending"] == "0"


async def test_only_metered_plans_are_told_and_only_from_their_grant_on(
    meterage: Meterage,
) -> None:
    other = await subscribed(meterage.shop, "professional")
    for owner in (other, await an_owner(meterage.shop.service)):
        await owner.client.post(EVENTS, json={"id": "x", "type": "debate"})
        empty = (await owner.client.get("/api/v1/billing/metered")).json()
        assert (empty["data"], empty["metered_since"]) == ([], None)
    early = meterage.shop.clock.now() - timedelta(minutes=1)
    await meterage.use("before", occurred_at=early.isoformat())
    assert await meterage.report() == 0
    assert (await meterage.summary())["tokens_input"]["total_usage"] == "0"


async def test_the_end_of_the_plan_ends_the_metering(meterage: Meterage) -> None:
    await meterage.use("a")
    meterage.shop.clock.advance(timedelta(minutes=1))
    answer = await ask(meterage.owner, "cancel", at_period_end=False)
    assert answer.status_code == 200, answer.text
    await meterage.shop.deliver()
    meterage.shop.clock.advance(timedelta(minutes=1))
    await meterage.use("b")
    await meterage.report()
    assert meterage.at_stripe() == 1000, "what was used under the plan is told after its end too"
    [row] = await meterage.shop.rows("select * from metered_enrolments")
    assert row["until"] is not None


async def test_reviewing_an_enrolment_again_changes_nothing(meterage: Meterage) -> None:
    mirror = meterage.shop.service.services[SubscriptionMirror]
    whose = meterage.owner.organization_id
    await asyncio.gather(*(mirror.review_access(whose) for _ in range(3)))
    assert len(await meterage.shop.rows("select 1 from metered_enrolments")) == 1


async def test_stripe_down_for_a_while_is_caught_up_without_a_hand(meterage: Meterage) -> None:
    await meterage.use("a")
    await meterage.shop.account.control(
        "faults", kind="server_error", count=200, path="/v1/billing/meter_events"
    )
    assert await meterage.report() == 0
    assert await meterage.report() == 0, "left alone until the wait is over"
    await meterage.use("b")
    shown = (await meterage.summary())["tokens_input"]
    assert (shown["total_usage"], shown["waiting"]) == ("2000", "2000")
    await meterage.shop.account.http.delete("/_sandbox/faults")
    meterage.shop.clock.advance(timedelta(minutes=2))
    assert await meterage.report() == 6
    assert meterage.at_stripe() == 2000
    assert {row["state"] for row in await meterage.batches()} == {"sent"}


@pytest.mark.parametrize("kind", ["rate_limit", "slow", "lost_answer"])
async def test_bad_moments_of_stripe_count_nothing_twice(meterage: Meterage, kind: str) -> None:
    await meterage.use("a", "b")
    await meterage.shop.account.control(
        "faults", kind=kind, count=1, seconds=0.2, path="/v1/billing/meter_events"
    )
    for _ in range(3):
        await meterage.report()
        meterage.shop.clock.advance(timedelta(minutes=6))
    assert [meterage.at_stripe(one) for one in ("tokens_input", "tokens_output", "debates")] == [
        2000,
        20,
        2,
    ]


def lose_every_answer(meterage: Meterage) -> None:
    """Stripe takes what it is told, and we never hear that it did: as if killed in between."""
    gateway: MeteringGateway = meterage.shop.service.services[MeteringGateway]  # type: ignore[type-abstract]
    send = gateway.send

    async def lost(meter: StripeMeter, report: MeterReport) -> bool:
        await send(meter, report)
        raise StripeUnavailable

    gateway.send = lost  # type: ignore[method-assign]


async def test_an_answer_lost_for_good_is_told_again_and_known_again(meterage: Meterage) -> None:
    gateway: MeteringGateway = meterage.shop.service.services[MeteringGateway]  # type: ignore[type-abstract]
    send = gateway.send
    await meterage.use("a")
    lose_every_answer(meterage)
    assert await meterage.report() == 0
    gateway.send = send  # type: ignore[method-assign]
    # Stripe forgets its idempotency keys; identifiers it knows for a day.
    meterage.shop.account.app.state.sandbox.store.run("delete from replies")
    meterage.shop.clock.advance(timedelta(minutes=10))
    assert await meterage.report() == 3
    assert meterage.at_stripe() == 1000


async def test_without_the_identifier_a_repeat_would_count_twice(meterage: Meterage) -> None:
    """The control: the same batch under another name."""
    await meterage.use("a")
    await meterage.report()
    gateway: MeteringGateway = meterage.shop.service.services[MeteringGateway]  # type: ignore[type-abstract]
    meter = await gateway.find_meter_of("price_tokens_input")
    assert meter is not None
    [told] = meterage.told()
    again = MeterReport("other", told["customer"], Decimal(1000), meterage.shop.clock.now())
    assert await gateway.send(meter, again)
    assert meterage.at_stripe() == 2000


@pytest.mark.parametrize("arrived", [True, False])
async def test_a_day_later_stripe_is_asked_whether_it_counted(
    meterage: Meterage, *, arrived: bool
) -> None:
    gateway: MeteringGateway = meterage.shop.service.services[MeteringGateway]  # type: ignore[type-abstract]
    send = gateway.send
    await meterage.use("a")
    if arrived:
        lose_every_answer(meterage)
    else:
        await meterage.shop.account.control(
            "faults", kind="server_error", count=200, path="/v1/billing/meter_events"
        )
    for _ in range(4):
        await meterage.report()
        meterage.shop.clock.advance(timedelta(hours=1))
    gateway.send = send  # type: ignore[method-assign]
    await meterage.shop.account.http.delete("/_sandbox/faults")
    meterage.shop.clock.advance(timedelta(hours=30))
    for _ in range(3):
        await meterage.report()
        meterage.shop.clock.advance(timedelta(minutes=40))
    assert [meterage.at_stripe(one) for one in ("tokens_input", "tokens_output", "debates")] == [
        1000,
        10,
        1,
    ]
    assert not await meterage.batches("pending", "uncertain")


async def test_two_workers_put_each_event_into_one_batch_and_tell_it_once(
    fresh_url: URL, clock: ManualClock
) -> None:
    async with a_shop(fresh_url, clock) as shop:
        meterage = await a_meterage(shop)
        for number in range(6):
            await meterage.use(*(f"{number}-{n}" for n in range(20)))

        async def work() -> None:
            for _ in range(3):
                await meterage.collector.collect()
                await meterage.reporter.send()

        await asyncio.gather(*(work() for _ in range(4)))
        assert meterage.at_stripe() == 120_000
        assert meterage.at_stripe("debates") == 120


async def test_a_crash_between_any_two_steps_loses_and_doubles_nothing(meterage: Meterage) -> None:
    class Killed(BaseException):
        """Nobody catches it, as nobody catches kill -9."""

    steps = ("settle", "note_attempt", "claim_due", "add_portion")
    for number, step in enumerate(steps):
        await meterage.use(f"event-{number}")
        kept = getattr(BatchRepository, step)

        async def dying(self, *arguments, kept=kept, **values):
            await kept(self, *arguments, **values)
            raise Killed

        setattr(BatchRepository, step, dying)
        try:
            with pytest.raises(Killed):
                await meterage.report()
        finally:
            setattr(BatchRepository, step, kept)
        meterage.shop.clock.advance(timedelta(minutes=6))
    await meterage.report()
    assert meterage.at_stripe() == 1000 * len(steps)
    assert {row["state"] for row in await meterage.batches()} == {"sent"}


async def test_what_is_older_than_35_days_is_reported_and_not_sent(meterage: Meterage) -> None:
    await meterage.use("a")
    await meterage.collector.collect()
    meterage.shop.clock.advance(timedelta(days=36))
    assert await meterage.reporter.send() == 0
    assert meterage.told() == []
    operator = await an_operator(meterage.shop.service)
    stuck = (await operator.get(BATCHES, params={"is_stuck": True})).json()["data"]
    assert {(one["state"], one["organization_id"]) for one in stuck} == {
        ("too_old", meterage.owner.id)
    }
    again = await operator.post(f"{BATCHES}/{stuck[0]['id']}/requeue")
    assert (again.status_code, again.json()["code"]) == (409, "metered_batch_not_stuck")


async def test_use_of_an_invoiced_period_goes_on_the_next_invoice(meterage: Meterage) -> None:
    await meterage.shop.advance(days=29, hours=23, minutes=59)
    at = meterage.shop.clock.now().isoformat()
    await meterage.shop.advance(hours=3)
    await meterage.use("late", occurred_at=at)
    await meterage.report()
    [told] = meterage.told()
    summary = await meterage.summary()
    [period] = await meterage.shop.rows("select period_start from subscriptions")
    assert told["at"] == int(period["period_start"].timestamp())
    assert summary["tokens_input"]["stripe_usage"] == "1000"


async def test_a_void_takes_back_what_was_told_once(meterage: Meterage) -> None:
    await meterage.use("a", "b")
    await meterage.report()
    for name in ("a", "a"):
        answer = await meterage.owner.client.post(f"{EVENTS}/{name}/void", json={"reason": "slip"})
        assert answer.status_code == 200, answer.text
        await meterage.shop.service.drain()
    await meterage.report()
    assert [meterage.at_stripe(one) for one in ("tokens_input", "tokens_output", "debates")] == [
        1000,
        10,
        1,
    ]
    shown = (await meterage.summary())["tokens_input"]
    assert (shown["total_usage"], shown["pending"]) == ("1000", "0")


async def test_a_void_before_the_telling_is_simply_not_told(meterage: Meterage) -> None:
    await meterage.use("a", "b")
    await meterage.owner.client.post(f"{EVENTS}/a/void", json={"reason": "slip"})
    assert (await meterage.summary())["tokens_input"]["total_usage"] == "1000"
    await meterage.shop.service.drain()
    await meterage.report()
    assert [row["value"] for row in meterage.told()] == ["1000"]


async def test_voids_that_race_the_collection_are_never_lost(meterage: Meterage) -> None:
    names = [f"e{number}" for number in range(12)]
    await meterage.use(*names)

    async def void(name: str) -> None:
        await meterage.owner.client.post(f"{EVENTS}/{name}/void", json={"reason": "slip"})
        await meterage.shop.service.drain()

    await asyncio.gather(meterage.collector.collect(), *(void(name) for name in names[:6]))
    await meterage.shop.service.drain()
    await meterage.report()
    assert meterage.at_stripe() == 6000


async def test_what_stripe_does_not_count_is_queued_again_once(meterage: Meterage) -> None:
    await meterage.use("a")
    sandbox = meterage.shop.account.app.state.sandbox
    customer = meterage.shop.account.find("customer")[0]
    with sandbox.unit():
        kept = sandbox.get("customer", customer["id"])
        sandbox.save({**kept, "deleted": True})
    await meterage.report()
    assert meterage.at_stripe() == 0
    events = meterage.shop.account.find("v2.core.event")
    assert events
    with sandbox.unit():
        sandbox.save(kept)
    errors = meterage.shop.service.services[MeterErrors]
    for _ in range(2):
        for event in events:
            await errors.take(await errors.fetch(event["id"]))
    assert len(await meterage.batches("rejected")) == len(await meterage.batches("pending")) == 3
    assert await meterage.report() == 0, "somebody has to mend it first"
    meterage.shop.clock.advance(timedelta(minutes=31))
    assert await meterage.report() == 3
    assert meterage.at_stripe() == 1000


async def test_a_thin_event_is_all_it_takes(meterage: Meterage) -> None:
    """As above, and nobody calls anything: the event comes by the webhook."""
    kinds = ["*", "v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found"]
    await meterage.shop.account.control(
        "webhook_endpoints",
        url="https://billing.test/webhooks/stripe",
        secret=SECRET,
        enabled_events=kinds,
    )
    await meterage.use("a")
    sandbox = meterage.shop.account.app.state.sandbox
    customer = meterage.shop.account.find("customer")[0]
    with sandbox.unit():
        kept = sandbox.get("customer", customer["id"])
        sandbox.save({**kept, "deleted": True})
    await meterage.report()
    with sandbox.unit():
        sandbox.save(kept)
    await meterage.shop.deliver()
    events = await meterage.shop.rows("select type, state from stripe_events where is_thin")
    assert {(one["type"], one["state"]) for one in events} == {(kinds[1], "handled")}
    meterage.shop.clock.advance(timedelta(minutes=31))
    await meterage.report()
    assert meterage.at_stripe() == 1000


async def test_recording_and_quotas_neither_ask_stripe_nor_wait_for_it(
    meterage: Meterage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await meterage.use("first")
    await meterage.shop.account.control(
        "faults", kind="slow", count=100, seconds=8, path="/v1/billing/meter_events"
    )
    reporting = asyncio.create_task(meterage.report())
    while not await meterage.batches():
        await asyncio.sleep(0.01)
    asked: list[str] = []
    ask = StripeConnection.ask

    async def counted(self: StripeConnection, call: str, *arguments: Any) -> Any:
        asked.append(call)
        return await ask(self, call, *arguments)

    monkeypatch.setattr(StripeConnection, "ask", counted)
    for number in range(5):
        await meterage.use(*(f"{number}-{n}" for n in range(20)))
        quota = await meterage.owner.client.get("/api/v1/billing/quota")
        assert quota.status_code == 200
    assert not reporting.done(), "Stripe still has not answered, and all of that is recorded"
    assert set(asked) <= {"get_price", "get_meter", "send_meter_event"}, "the reporter's alone"
    assert (await meterage.summary())["debates"]["total_usage"] == "101"
    await meterage.shop.account.http.delete("/_sandbox/faults")
    await reporting
    meterage.shop.clock.advance(timedelta(minutes=6))
    await meterage.report()
    assert meterage.at_stripe("debates") == 101


async def test_what_stripe_will_not_take_waits_for_an_operator(meterage: Meterage) -> None:
    sandbox = meterage.shop.account.app.state.sandbox
    [meter] = meterage.shop.account.find("billing.meter", event_name="tokens_input")
    with sandbox.unit():
        sandbox.save({**sandbox.get("billing.meter", meter["id"]), "event_name": "renamed"})
    await meterage.use("a")
    reporter = meterage.reporter
    reporter._meters["price_tokens_input"] = StripeMeter(
        meter["id"], "tokens_input", "stripe_customer_id", "value", "sum", is_active=True
    )
    assert await meterage.report() == 2
    [stuck] = await meterage.batches("refused")
    assert "No meter found" in stuck["failure"]
    assert (await meterage.summary())["tokens_input"]["unreportable"] == "1000"
    with sandbox.unit():
        sandbox.save({**sandbox.get("billing.meter", meter["id"]), "event_name": "tokens_input"})
    operator = await an_operator(meterage.shop.service)
    [shown] = (await operator.get(BATCHES, params={"is_stuck": True})).json()["data"]
    again = await operator.post(f"{BATCHES}/{shown['id']}/requeue")
    assert again.status_code == 200, again.text
    assert await meterage.report() == 1
    assert meterage.at_stripe() == 1000
