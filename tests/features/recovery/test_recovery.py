"""A payment is missing: grace, warnings, the end of it, and the way back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.gateways.stripe.gateway import StripeGateway
from app.kernel.ids import OrganizationId
from app.organizations.service import OrganizationService
from app.recovery.domain import warns_at
from app.recovery.events import GraceEnded, GraceEnding
from app.recovery.invariants import INVARIANTS
from app.recovery.models import RecoveryCase
from app.recovery.repository import RecoveryRepository
from app.subscriptions.events import PaymentFailed
from app.subscriptions.repository import SubscriptionRepository
from app.subscriptions.service import Report, SubscriptionMirror
from app.webhooks.service.inbox import StripeInbox
from tests.factories.people import an_owner
from tests.features.recovery.conftest import Trouble

SECOND = timedelta(seconds=1)


async def test_the_whole_story_of_a_payment_that_comes_late(trouble: Trouble) -> None:
    failed_at = await trouble.fail()
    ends = failed_at + timedelta(days=10)
    assert trouble.heard == ["PaymentFailed"]
    told = trouble.facts[0]
    assert isinstance(told, PaymentFailed)
    assert (told.attempt, told.failed_at, told.amount_due) == (1, failed_at, 29900)
    assert (await trouble.timeline())["state"] == "grace"

    await trouble.at(failed_at + timedelta(days=3, hours=1))
    assert trouble.heard == ["PaymentFailed", "PaymentFailed"], "the second attempt"

    before = await trouble.at(ends - timedelta(days=3) - SECOND)
    assert trouble.heard[2:] == []
    await trouble.at(ends - timedelta(days=3))
    assert trouble.facts[2:] == [
        GraceEnding(trouble.owner.organization_id, told.subscription_id, ends)
    ]
    assert before["tier"] == "professional"

    await trouble.at(failed_at + timedelta(days=8, hours=1))
    assert trouble.heard[3:] == ["PaymentFailed"], "the third attempt"
    last_second = await trouble.at(ends - SECOND)
    assert (last_second["tier"], last_second["grace_until"]) == (
        "professional",
        ends.isoformat().replace("+00:00", "Z"),
    )
    assert trouble.heard[4:] == []
    over = await trouble.at(ends)
    assert (over["tier"], over["plan"], over["payment_state"]) == (
        "free",
        "professional",
        "past_due",
    )
    assert trouble.facts[4:] == [
        GraceEnded(trouble.owner.organization_id, told.subscription_id, ends)
    ]
    assert (await trouble.timeline())["state"] == "lapsed"

    await trouble.shop.decline_from_now_on(None)
    back = await trouble.at(failed_at + timedelta(days=15, hours=1))
    assert (back["tier"], back["payment_state"], back["grace_until"]) == (
        "professional",
        "ok",
        None,
    )
    assert trouble.heard[5:] == ["PaymentRecovered"]

    seen = await trouble.timeline()
    assert seen["state"] == "clear"
    [case] = seen["cases"]
    assert (case["outcome"], case["grace_until"]) == ("recovered", last_second["grace_until"])
    story = [(step["kind"], step["attempt"], step["notice"]) for step in reversed(seen["timeline"])]
    assert sorted(story, key=str) == sorted(
        [
            ("grace_started", None, None),
            ("payment_failed", 1, "payment_failed"),
            ("payment_failed", 2, "payment_failed"),
            ("grace_ending", None, "grace_ending"),
            ("payment_failed", 3, "payment_failed"),
            ("grace_ended", None, "grace_ended"),
            ("payment_received", None, "payment_recovered"),
            ("closed", None, None),
        ],
        key=str,
    )
    assert {step["kind"] for step in seen["timeline"] if step["clock"] == "stripe"} == {
        "payment_failed",
        "grace_started",
    }
    recorded = [step["recorded_at"] for step in seen["timeline"]]
    assert recorded == sorted(recorded, reverse=True), "one clock orders them"
    about = {(s["stripe_invoice_id"], s["amount"], s["currency"]) for s in seen["timeline"]}
    assert about == {(told.stripe_invoice_id, 29900, "usd")}
    own = await trouble.owner.client.get("/api/v1/billing/recovery")
    if own.status_code == 200:
        assert own.json() == seen

    # Everything once more, the failures last: nothing is told and nothing changes.
    heard = len(trouble.facts)
    inbox = trouble.shop.service.services[StripeInbox]
    events = await trouble.shop.rows(
        "select event_id from stripe_events order by type like '%failed%', id"
    )
    for event in events:
        await inbox.replay(event["event_id"])
    await trouble.shop.service.drain()
    assert len(trouble.facts) == heard
    assert (await trouble.timeline())["timeline"] == seen["timeline"]
    for name, (sentence, query) in INVARIANTS.items():
        values = {"organization_id": None, "now": trouble.shop.clock.now() + timedelta(hours=1)}
        assert await trouble.shop.rows(query, **values) == [], (name, sentence)


async def test_two_attempts_heard_of_late_are_told_once_and_the_grace_is_the_firsts(
    trouble: Trouble,
) -> None:
    """What is asked of Stripe then is the second attempt: one notice, with the days of grace."""
    shop = trouble.shop
    await shop.decline_from_now_on("insufficient_funds")
    for wait in (timedelta(days=30, hours=2), timedelta(days=3)):
        shop.clock.advance(wait)
        await shop.account.control("clock/advance", seconds=0)
    await shop.deliver()
    [told] = trouble.facts
    assert isinstance(told, PaymentFailed)
    assert told.attempt == 2
    [case] = (await trouble.timeline())["cases"]
    [owed] = await shop.rows("select first_failed_at from invoice_collections where attempt = 2")
    first = owed["first_failed_at"]
    assert case["first_failed_at"] == first.isoformat().replace("+00:00", "Z")
    assert told.failed_at - first < SECOND, "the attempt that began it"
    ends = first + timedelta(days=10)
    [mail] = [
        mail for mail in shop.service.mail.to(trouble.owner.email) if "attempt 2" in mail.subject
    ]
    assert f"Everything goes on as before until {ends:%Y-%m-%d}" in mail.text


async def test_an_answer_from_before_the_payment_does_not_bring_the_failure_back(
    trouble: Trouble,
) -> None:
    """A worker asked while the invoice was open, and writes after it was paid."""
    failed_at = await trouble.fail()
    services = trouble.shop.service.services
    stripe, mirror = services[StripeGateway], services[SubscriptionMirror]  # type: ignore[type-abstract]
    [kept] = trouble.shop.account.find("subscription")
    ticket = await mirror.take_ticket()
    old = await stripe.get_subscription(kept["id"])
    open_invoice = await stripe.get_invoice(old.latest_invoice_id or "")
    late = Report(old, ticket, open_invoice, failed_at)

    await trouble.shop.decline_from_now_on(None)
    await trouble.at(failed_at + timedelta(days=3, hours=1))
    heard = trouble.heard
    assert heard == ["PaymentFailed", "PaymentRecovered"]
    await mirror.take(trouble.owner.organization_id, late)
    owed = "select first_failed_at from invoice_collections where settled_at is null"
    assert await trouble.shop.rows(owed) == []
    assert trouble.heard == heard

    # Without the memory of the settlement it would be owed again, and shorten the next grace.
    async with trouble.shop.service.work.begin_platform() as session:
        await session.execute(text("delete from invoice_collections"))
    await mirror.take(trouble.owner.organization_id, replace(late, ticket=0))
    assert len(await trouble.shop.rows(owed)) == 1


async def test_whoever_follows_at_the_same_time_warns_once(trouble: Trouble) -> None:
    failed_at = await trouble.fail()
    owner = trouble.owner.organization_id
    trouble.shop.clock.set(failed_at + timedelta(days=7, hours=1))
    await asyncio.gather(*(trouble.recovery.follow(owner) for _ in range(6)))
    assert trouble.heard.count("GraceEnding") == 1
    trouble.shop.clock.set(failed_at + timedelta(days=10))
    await asyncio.gather(*(trouble.recovery.follow(owner) for _ in range(6)))
    assert trouble.heard.count("GraceEnded") == 1


async def test_without_the_lock_everybody_would_warn(
    trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: the organization's row is a second lock, taken when it is granted."""
    failed_at = await trouble.fail()
    organizations = trouble.shop.service.services[OrganizationService]

    together = asyncio.Barrier(2)
    reading = RecoveryRepository.list_open

    async def no_lock(self: SubscriptionRepository, organization_id: object) -> None:
        return None

    async def read_together(
        self: RecoveryRepository, organization_id: OrganizationId
    ) -> list[RecoveryCase]:
        cases = await reading(self, organization_id)
        await together.wait()
        return cases

    async def no_grant(organization_id: object, granted: object, *, kept_as: object) -> None:
        return None

    monkeypatch.setattr(SubscriptionRepository, "lock", no_lock)
    monkeypatch.setattr(organizations, "apply_entitlements", no_grant)
    monkeypatch.setattr(RecoveryRepository, "list_open", read_together)
    trouble.shop.clock.set(failed_at + timedelta(days=7, hours=1))
    follow = trouble.recovery.follow
    await asyncio.gather(*(follow(trouble.owner.organization_id) for _ in range(2)))
    assert trouble.heard.count("GraceEnding") == 2


async def test_a_missed_appointment_is_kept_by_the_sweep(trouble: Trouble) -> None:
    failed_at = await trouble.fail()
    async with trouble.shop.service.work.begin_platform() as session:
        await session.execute(text("delete from pgqueuer"))
    assert await trouble.recovery.sweep() == 0
    trouble.shop.clock.set(failed_at + timedelta(days=8))
    assert await trouble.recovery.sweep() == 1
    assert trouble.heard == ["PaymentFailed", "GraceEnding"]
    trouble.shop.clock.set(failed_at + timedelta(days=12))
    assert await trouble.recovery.sweep() == 1
    assert trouble.heard[2:] == ["GraceEnded"]
    assert await trouble.recovery.sweep() == 0


async def test_stripe_gives_up_first(trouble: Trouble) -> None:
    """One retry after three days, and then it is over, whatever is left of the grace."""
    await trouble.shop.account.control("settings", payment_retry_days=[3], after_retries="cancel")
    failed_at = await trouble.fail()
    ended = await trouble.at(failed_at + timedelta(days=3, hours=1))
    assert (ended["tier"], ended["status"]) == ("free", "canceled")
    assert trouble.heard == ["PaymentFailed", "PaymentFailed", "GraceEnded"]
    [case] = (await trouble.timeline())["cases"]
    assert case["outcome"] == "given_up"
    await trouble.at(failed_at + timedelta(days=11))
    assert trouble.heard[3:] == []


async def test_who_cancels_meanwhile_is_not_told_of_the_end(trouble: Trouble) -> None:
    failed_at = await trouble.fail()
    stripe = trouble.shop.service.services[StripeGateway]  # type: ignore[type-abstract]
    [kept] = trouble.shop.account.find("subscription")
    await stripe.cancel_now(kept["id"], comment=None, key="test:cancel")
    await trouble.at(failed_at + timedelta(days=1))
    assert trouble.heard == ["PaymentFailed"]
    [case] = (await trouble.timeline())["cases"]
    assert case["outcome"] == "canceled"
    await trouble.at(failed_at + timedelta(days=11))
    assert trouble.heard == ["PaymentFailed"]


async def test_who_may_read_the_timeline(trouble: Trouble) -> None:
    path = f"/api/v1/admin/organizations/{trouble.owner.id}/recovery"
    assert (await trouble.owner.client.get(path)).status_code == 403
    other = await an_owner(trouble.shop.service)
    nothing = (await other.client.get("/api/v1/billing/recovery")).json()
    assert (nothing["state"], nothing["cases"], nothing["timeline"]) == ("clear", [], [])
    unknown = "/api/v1/admin/organizations/org_00000000000000000000000000/recovery"
    assert (await trouble.operator.get(unknown)).status_code == 404


@pytest.mark.parametrize(("days", "warned_after"), [(0, None), (3, None), (4, 1), (10, 7)])
def test_a_short_grace_needs_no_second_warning(days: int, warned_after: int | None) -> None:
    began = datetime(2026, 11, 21, 9, tzinfo=UTC)
    due_at = warns_at(began, began + timedelta(days=days))
    assert due_at == (None if warned_after is None else began + timedelta(days=warned_after))
