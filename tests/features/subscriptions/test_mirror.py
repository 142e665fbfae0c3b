"""The mirror converges, whatever order the news comes in."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest

from app.gateways.stripe.gateway import StripeSubscription
from app.organizations.service import OrganizationService
from app.subscriptions.repository import SubscriptionRepository
from app.subscriptions.service import Report, Taken
from tests.factories.people import an_owner
from tests.factories.subscriptions import subscription
from tests.features.subscriptions.conftest import Store


async def test_an_older_answer_never_overwrites_a_newer_one(store: Store) -> None:
    owner = await store.subscribed()
    older = store.bought_by(owner)
    first, second = await store.mirror.take_ticket(), await store.mirror.take_ticket()
    newer = replace(older, status="canceled", ended_at=store.clock.now())
    take = store.mirror.take
    assert await take(owner.organization_id, Report(newer, second)) is Taken.APPLIED
    assert await take(owner.organization_id, Report(older, first)) is Taken.STALE
    assert (await subscription(owner))["status"] == "canceled"


async def race(
    store: Store, owner_id: str, gate: asyncio.Event, bought: StripeSubscription
) -> None:
    """Two workers ask Stripe about one subscription; the first answer is held up."""
    ask = store.stripe.get_subscription
    slow = await store.receive("customer.subscription.updated", bought.id)
    fast = await store.receive("customer.subscription.deleted", bought.id)
    asked = asyncio.Event()

    async def held_up(subscription_id: str) -> StripeSubscription:
        answer = await ask(subscription_id)
        asked.set()
        await gate.wait()
        return answer

    store.stripe.get_subscription = held_up  # type: ignore[method-assign]
    try:
        first = asyncio.create_task(store.inbox.handle(slow))
        await asked.wait()
        store.stripe.get_subscription = ask  # type: ignore[method-assign]
        await store.stripe.cancel_now(bought.id, comment=None, key=f"test:{owner_id}")
        await store.inbox.handle(fast)
        gate.set()
        await first
    finally:
        store.stripe.get_subscription = ask  # type: ignore[method-assign]


async def test_of_two_workers_the_one_who_asked_later_is_right(store: Store) -> None:
    owner = await store.subscribed()
    bought = store.bought_by(owner)
    await store.tell("customer.subscription.created", bought.id)
    await race(store, owner.id, asyncio.Event(), bought)
    after = await subscription(owner)
    assert (after["status"], after["tier"]) == ("canceled", "free")


async def test_without_tickets_the_late_answer_would_win(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: if every answer counts as the newest, access comes back from the dead."""
    owner = await store.subscribed()
    bought = store.bought_by(owner)
    await store.tell("customer.subscription.created", bought.id)
    take = store.mirror.take

    async def always_newest(organization_id, report):
        newest = await store.mirror.take_ticket()
        return await take(organization_id, replace(report, ticket=newest))

    monkeypatch.setattr(store.mirror, "take", always_newest)
    await race(store, owner.id, asyncio.Event(), bought)
    assert (await subscription(owner))["tier"] == "professional"


async def test_the_same_event_twenty_times_is_one_effect(store: Store) -> None:
    owner = await store.subscribed()
    bought = store.bought_by(owner)
    [invoice] = [one for one in store.stripe.invoices.values() if one.subscription_id == bought.id]
    event_id = await store.receive("invoice.paid", invoice.id or "")
    await asyncio.gather(*(store.inbox.handle(event_id) for _ in range(20)))
    assert (await store.event(event_id))["state"] == "handled"
    windows = await store.rows(
        "select 1 from paid_periods where organization_id = :id", id=owner.organization_id
    )
    assert len(windows) == 1
    assert (await subscription(owner))["tier"] == "professional"


KINDS = ("created", "invoice", "failed", "past_due")


@pytest.mark.parametrize("order", list(permutations(KINDS)), ids=lambda order: "-".join(order))
async def test_every_order_of_a_failed_renewal_ends_alike(
    store: Store, order: tuple[str, ...]
) -> None:
    owner = await store.subscribed()
    bought = store.bought_by(owner)
    [first] = [one for one in store.stripe.invoices.values() if one.subscription_id == bought.id]
    store.clock.advance(days=30)
    failed = store.stripe.renew(bought.id, is_paid=False)
    failed_at = store.clock.now()
    told = {
        "created": ("customer.subscription.created", bought.id),
        "invoice": ("invoice.paid", first.id or ""),
        "failed": ("invoice.payment_failed", failed.id or ""),
        "past_due": ("customer.subscription.updated", bought.id),
    }
    events = {kind: await store.receive(*told[kind]) for kind in order}
    for kind in (*order, *order):
        # Handling takes time; the grace counts from the failure, not from when it is heard of.
        store.clock.advance(hours=1)
        await store.inbox.handle(events[kind])
    [row] = await store.rows(
        "select status, first_failed_at, window_start, is_duplicate from subscriptions"
        " where organization_id = :id",
        id=owner.organization_id,
    )
    assert row["status"] == "past_due"
    assert row["first_failed_at"] == failed_at
    assert row["window_start"] == bought.created_at
    granted = await store.service.services[OrganizationService].entitlements(owner.organization_id)
    assert (granted.plan, granted.window and granted.window.start) == (
        "professional",
        bought.created_at,
    )


async def test_a_price_of_no_plan_changes_nothing_and_is_reported(store: Store) -> None:
    owner = await store.subscribed("starter")
    bought = store.bought_by(owner)
    assert await store.take(owner, bought) is Taken.APPLIED
    [item] = bought.items
    strange = replace(bought, items=(replace(item, price_id="price_strange"),))
    store.stripe.subscriptions[bought.id] = strange
    event = await store.tell("customer.subscription.updated", bought.id)
    assert (event["state"], event["note"]) == ("ignored", "unknown_price")
    after = await subscription(owner)
    assert (after["tier"], after["amount"]) == ("starter", 9900)

    store.stripe.subscriptions[bought.id] = replace(strange, status="canceled")
    await store.tell("customer.subscription.deleted", bought.id)
    assert (await subscription(owner))["tier"] == "free", "an end is an end"


async def test_of_two_live_subscriptions_the_higher_plan_counts(store: Store) -> None:
    owner = await store.subscribed("starter")
    lower = store.bought_by(owner)
    higher = replace(
        lower,
        id=f"{lower.id}_b",
        items=tuple(replace(item, price_id="price_enterprise") for item in lower.items),
    )
    assert await store.take(owner, lower) is Taken.APPLIED
    assert await store.take(owner, higher) is Taken.APPLIED
    assert (await subscription(owner))["tier"] == "enterprise"
    flags = await store.rows(
        "select plan, is_duplicate from subscriptions where organization_id = :id order by plan",
        id=owner.organization_id,
    )
    assert [(row["plan"], row["is_duplicate"]) for row in flags] == [
        ("enterprise", False),
        ("starter", True),
    ]
    await store.take(owner, replace(higher, status="canceled"))
    assert (await subscription(owner))["tier"] == "starter"


async def test_two_subscriptions_that_appear_at_once_are_seen_together(store: Store) -> None:
    owner = await store.subscribed("starter")
    one = store.bought_by(owner)
    others = [
        replace(
            one,
            id=f"{one.id}_{plan}",
            items=tuple(replace(item, price_id=f"price_{plan}") for item in one.items),
        )
        for plan in ("professional", "enterprise")
    ]
    await asyncio.gather(*(store.take(owner, each) for each in (one, *others)))
    rows = await store.rows(
        "select is_duplicate from subscriptions where organization_id = :id",
        id=owner.organization_id,
    )
    assert sorted(row["is_duplicate"] for row in rows) == [False, True, True]
    assert (await subscription(owner))["tier"] == "enterprise"


async def test_without_the_lock_they_would_not_be(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: three writers who do not wait each miss what the others write."""
    seen: list[int] = []
    read = SubscriptionRepository.list_for_organization
    met = asyncio.Barrier(3)

    async def no_lock(self, organization_id):
        return None

    async def together(self, organization_id):
        await self.session.flush()
        await met.wait()
        rows = await read(self, organization_id)
        seen.append(len(rows))
        return rows

    owner = await store.subscribed("starter")
    one = store.bought_by(owner)
    monkeypatch.setattr(SubscriptionRepository, "lock", no_lock)
    monkeypatch.setattr(SubscriptionRepository, "list_for_organization", together)
    each = [replace(one, id=f"{one.id}_{number}") for number in range(3)]
    await asyncio.gather(*(store.take(owner, subscription) for subscription in each))
    assert seen == [1, 1, 1]


@pytest.mark.parametrize(
    ("kind", "object_id", "note"),
    [
        ("customer.subscription.updated", "sub_gone", "gone"),
        ("invoice.paid", "in_gone", "gone"),
        ("checkout.session.completed", "cs_gone", "gone"),
        ("setup_intent.created", "seti_1", "not_handled"),
        ("something.of.tomorrow", "x_1", "not_handled"),
    ],
)
async def test_what_does_not_concern_us_is_kept_and_ignored(
    store: Store, kind: str, object_id: str, note: str
) -> None:
    event = await store.tell(kind, object_id)
    assert (event["state"], event["note"], event["handled_at"]) == ("ignored", note, None)


async def test_the_other_mode_and_strangers_are_ignored(store: Store) -> None:
    owner = await store.subscribed()
    bought = store.bought_by(owner)
    event = await store.tell("customer.subscription.created", bought.id, livemode=True)
    assert (event["state"], event["note"]) == ("ignored", "other_mode")
    stranger = replace(bought, id=f"{bought.id}_x", customer_id="cus_stranger")
    store.stripe.subscriptions[stranger.id] = stranger
    event = await store.tell("customer.subscription.created", stranger.id)
    assert (event["state"], event["note"]) == ("ignored", "foreign_customer")
    assert (await subscription(owner))["status"] == "none"


async def test_a_thin_event_does_what_its_twin_does(store: Store) -> None:
    owner = await store.subscribed()
    bought = store.bought_by(owner)
    event = await store.tell(
        "v1.customer.subscription.created",
        bought.id,
        object="v2.core.event",
        created="2026-11-21T09:00:00Z",
        related_object={"id": bought.id, "type": "subscription", "url": "/v1/x"},
    )
    assert event["state"] == "handled"
    assert (await subscription(owner))["tier"] == "professional"


async def test_the_end_of_grace_is_an_appointment(store: Store) -> None:
    owner = await store.subscribed()
    bought = store.bought_by(owner)
    failed = store.stripe.renew(bought.id, is_paid=False)
    await store.tell("invoice.payment_failed", failed.id or "")
    [job] = await store.rows(
        "select payload, execute_after - created as wait from pgqueuer"
        " where entrypoint = 'subscriptions.review_access'"
    )
    assert str(owner.organization_id).encode() in job["payload"]
    assert timedelta(days=9, hours=23) < job["wait"] <= timedelta(days=10, minutes=1)


async def test_a_paid_period_is_announced_once(store: Store) -> None:
    stranger = await an_owner(store.service)
    assert (await subscription(stranger))["status"] == "none"
    owner = await store.subscribed()
    bought = store.bought_by(owner)
    [first] = [one for one in store.stripe.invoices.values() if one.subscription_id == bought.id]
    store.clock.advance(days=30)
    second = store.stripe.renew(bought.id)
    for invoice in (second, first, second, first):
        await store.tell("invoice.paid", invoice.id or "")
    [row] = await store.rows(
        "select window_start from subscriptions where organization_id = :id",
        id=owner.organization_id,
    )
    assert second.period is not None
    assert row["window_start"] == second.period.start, "an older invoice opens nothing again"
