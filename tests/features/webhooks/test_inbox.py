"""What becomes of a kept event when things go wrong."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from app.gateways.stripe.errors import StripeUnavailable
from app.kernel.pages import PageRequest
from app.webhooks.domain import HANDLED, EventFilter, EventState, Outcome, PendingEvent
from app.webhooks.errors import UnknownEvent
from app.webhooks.service.inbox import MAX_ATTEMPTS, StripeInbox
from app.webhooks.service.topics.answers import Apply, settled
from tests.factories.operators import an_operator
from tests.features.webhooks.test_intake import jobs, post, rows, stored
from tests.support.service import Service
from tests.support.stripe_events import an_event, encoded


class Trouble(Exception):
    """What a handler raises in these tests."""


class Script:
    """A handler that fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.seen: list[PendingEvent] = []

    async def __call__(self, event: PendingEvent) -> Apply:
        self.seen.append(event)
        if len(self.seen) <= self.failures:
            raise Trouble("Stripe is away")
        return settled(HANDLED)


@pytest.fixture
def script(service: Service, monkeypatch: pytest.MonkeyPatch) -> Script:
    script = Script()
    monkeypatch.setattr(service.services[StripeInbox], "_handlers", {"invoice.paid": script})
    return script


async def received(service: Service) -> str:
    event = an_event("invoice.paid", {"id": "in_1"}, service.clock.now())
    async with service.client() as client:
        assert (await post(client, encoded(event))).status_code == 200
    return str(event["id"])


async def test_killed_between_receipt_and_handling_the_job_is_still_there(
    service: Service, script: Script
) -> None:
    event_id = await received(service)
    assert script.seen == []
    assert len(await jobs(service)) == 1
    await service.drain()
    assert [event.event_id for event in script.seen] == [event_id]
    assert (await stored(service))[0]["state"] == "handled"


async def test_a_failure_leaves_the_event_pending_and_says_why(
    service: Service, script: Script
) -> None:
    script.failures = 1
    event_id = await received(service)
    inbox = service.services[StripeInbox]
    with pytest.raises(Trouble):
        await inbox.handle(event_id)
    [row] = await stored(service)
    assert (row["state"], row["attempts"]) == ("pending", 1)
    assert row["last_error"] == "Trouble: Stripe is away"
    await inbox.handle(event_id)
    [row] = await stored(service)
    assert (row["state"], row["attempts"], row["last_error"]) == ("handled", 2, None)
    await inbox.handle(event_id)
    assert len(script.seen) == 2, "what is handled is not handled again"


async def test_a_failing_write_takes_the_mark_back_with_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handler(event: PendingEvent) -> Apply:
        async def apply() -> Outcome:
            session = service.work.session
            await session.execute(text("update stripe_events set note = 'half an effect'"))
            raise Trouble

        return apply

    inbox = service.services[StripeInbox]
    monkeypatch.setattr(inbox, "_handlers", {"invoice.paid": handler})
    event_id = await received(service)
    with pytest.raises(Trouble):
        await inbox.handle(event_id)
    [row] = await stored(service)
    assert (row["state"], row["note"]) == ("pending", None)


async def test_the_sweeper_asks_again_for_what_nobody_handled(
    service: Service, script: Script
) -> None:
    await received(service)
    inbox = service.services[StripeInbox]
    async with service.work.begin_platform() as session:
        await session.execute(text("delete from pgqueuer"))
    assert await inbox.sweep() == 0, "five minutes have not passed"
    service.clock.advance(minutes=6)
    assert await inbox.sweep() == 1
    assert await inbox.sweep() == 1
    assert len(await jobs(service)) == 1, "asked twice, queued once"
    await service.drain()
    assert (await stored(service))[0]["state"] == "handled"
    assert await inbox.sweep() == 0


async def test_a_hopeless_event_is_given_up_and_an_operator_replays_it(
    service: Service, script: Script
) -> None:
    script.failures = MAX_ATTEMPTS
    event_id = await received(service)
    inbox = service.services[StripeInbox]
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(Trouble):
            await inbox.handle(event_id)
    assert (await stored(service))[0]["state"] == "dead"
    await inbox.handle(event_id)
    assert len(script.seen) == MAX_ATTEMPTS
    service.clock.advance(minutes=6)
    assert await inbox.sweep() == 0

    page = await inbox.list(PageRequest(), EventFilter(EventState.DEAD))
    assert [event.event_id for event in page.items] == [event_id]
    await inbox.replay(event_id)
    await service.drain()
    assert (await stored(service))[0]["state"] == "handled"
    entries = await rows(service, "select action, target from platform_audit_entries")
    assert {"action": "webhooks.event_replayed", "target": event_id} in [
        dict(entry) for entry in entries
    ]


async def test_while_stripe_is_away_an_event_waits_for_as_long_as_it_takes(
    service: Service, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(event: PendingEvent) -> Apply:
        raise StripeUnavailable

    inbox = service.services[StripeInbox]
    event_id = await received(service)
    with monkeypatch.context() as outage:
        outage.setattr(inbox, "_handlers", {"invoice.paid": away})
        for _ in range(MAX_ATTEMPTS + 5):
            with pytest.raises(StripeUnavailable):
                await inbox.handle(event_id)
    await inbox.handle(event_id)
    assert (await stored(service))[0]["state"] == "handled"


async def test_the_text_is_forgotten_after_ninety_days_and_the_row_is_not(
    service: Service, script: Script
) -> None:
    await received(service)
    inbox = service.services[StripeInbox]
    service.clock.advance(days=89)
    assert await inbox.forget_payloads() == 0
    service.clock.advance(days=2)
    assert await inbox.forget_payloads() == 1
    assert await inbox.forget_payloads() == 0
    [row] = await stored(service)
    assert (row["payload"], row["type"]) == (None, "invoice.paid")


async def test_the_list_pages_and_filters(service: Service, script: Script) -> None:
    ids = [await received(service) for _ in range(3)]
    inbox = service.services[StripeInbox]
    first = await inbox.list(PageRequest(limit=2))
    rest = await inbox.list(PageRequest(limit=2, cursor=first.next_cursor))
    assert [event.event_id for event in (*first.items, *rest.items)] == ids[::-1]
    assert (await inbox.list(PageRequest(), EventFilter(kind="invoice.voided"))).items == []
    with pytest.raises(UnknownEvent):
        await inbox.replay("evt_none")


async def test_an_unknown_event_is_no_work(service: Service, script: Any) -> None:
    await service.services[StripeInbox].handle("evt_none")
    assert script.seen == []


async def test_what_was_given_up_is_found_by_its_error_and_replayed_by_its_type(
    service: Service, script: Script
) -> None:
    script.failures = 3 * MAX_ATTEMPTS
    inbox = service.services[StripeInbox]
    dead = [await received(service) for _ in range(3)]
    for event_id in dead:
        for _ in range(MAX_ATTEMPTS):
            with pytest.raises(Trouble):
                await inbox.handle(event_id)
    operator = await an_operator(service)
    events = "/api/v1/admin/webhooks/events"

    async def listed(**wanted: Any) -> list[str]:
        answer = await operator.get(events, params=wanted)
        assert answer.status_code == 200, answer.text
        return [event["id"] for event in answer.json()["data"]]

    assert await listed(state="dead", min_attempts=MAX_ATTEMPTS, last_error="IS AWAY") == dead[::-1]
    assert await listed(last_error="100%") == []
    assert await listed(min_attempts=MAX_ATTEMPTS + 1) == []
    other = await operator.post(f"{events}/replay", params={"type": "invoice.voided"})
    assert (other.status_code, other.json()) == (202, {"replayed": 0})
    for replayed in (3, 0):
        answer = await operator.post(f"{events}/replay", params={"type": "invoice.paid"})
        assert answer.json() == {"replayed": replayed}
    assert len(await jobs(service)) == 3, "asked twice, queued once"
    await service.drain()
    assert {row["state"] for row in await stored(service)} == {"handled"}
