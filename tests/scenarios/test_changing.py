"""A subscription's life after it was bought: up, down, out, back, and months that go unpaid."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.organizations.service import OrganizationService
from app.subscriptions.service import SubscriptionMirror
from app.webhooks.service.inbox import StripeInbox
from tests.factories.people import Owner, an_owner
from tests.factories.subscriptions import ask, call, checkout, subscribed, subscription
from tests.support.stripe_account import Shop


async def test_an_upgrade_is_billed_at_once_and_holds_when_paid(shop: Shop) -> None:
    owner = await subscribed(shop, "starter")
    await shop.advance(days=15)

    preview = (await ask(owner, "preview", plan="professional")).json()
    assert preview["direction"] == "upgrade"
    assert preview["effective_at"] == "2026-12-06T09:00:00Z"
    assert 0 < preview["amount_due"] < 29900 - 9900 // 2

    changed = await ask(owner, "change", plan="professional")
    assert (changed.status_code, changed.json()["outcome"]) == (200, "applied")
    assert changed.json()["tier"] == "professional"
    await shop.deliver()
    after = await subscription(owner)
    assert (after["tier"], after["amount"]) == ("professional", 29900)
    assert after["current_period_end"] == "2026-12-21T09:00:00Z"
    [window] = await shop.rows("select starts_at from paid_periods")
    assert window["starts_at"].day == 21, "an upgrade resets no quota"
    invoices = (await owner.client.get("/api/v1/billing/invoices")).json()["data"]
    assert preview["amount_due"] in {invoice["amount_due"] for invoice in invoices}


async def test_an_upgrade_that_is_not_paid_waits_and_changes_nothing(shop: Shop) -> None:
    owner = await subscribed(shop, "starter")
    await shop.decline_from_now_on()
    changed = await ask(owner, "change", plan="professional")
    assert (changed.status_code, changed.json()["outcome"]) == (202, "pending")
    await shop.deliver()
    waiting = await subscription(owner)
    assert (waiting["tier"], waiting["plan"], waiting["status"]) == ("starter", "starter", "active")
    assert waiting["pending_change"]["plan"] == "professional"
    assert waiting["pending_change"]["reason"] == "payment"
    assert waiting["pay_url"]

    await shop.advance(hours=24)
    lapsed = await subscription(owner)
    assert (lapsed["tier"], lapsed["pending_change"]) == ("starter", None)


async def test_a_downgrade_waits_for_the_end_of_the_period_and_can_be_undone(shop: Shop) -> None:
    owner = await subscribed(shop, "professional")
    changed = await ask(owner, "change", plan="starter")
    assert (changed.status_code, changed.json()["outcome"]) == (200, "scheduled")
    assert changed.json()["effective_at"] == "2026-12-21T09:00:00Z"
    await shop.deliver()
    waiting = await subscription(owner)
    assert (waiting["tier"], waiting["amount"]) == ("professional", 29900)
    assert waiting["pending_change"] == {
        "plan": "starter",
        "interval": "month",
        "effective_at": "2026-12-21T09:00:00Z",
        "reason": "period_end",
    }

    undone = await ask(owner, "change", plan="professional")
    assert (undone.status_code, undone.json()["outcome"]) == (200, "applied")
    assert undone.json()["pending_change"] is None

    await ask(owner, "change", plan="starter")
    await shop.advance(days=30, hours=2)
    await shop.advance(hours=2)
    after = await subscription(owner)
    assert (after["tier"], after["amount"], after["pending_change"]) == ("starter", 9900, None)


async def test_canceling_keeps_what_was_paid_for_and_can_be_taken_back(shop: Shop) -> None:
    owner = await subscribed(shop)
    canceled = await ask(owner, "cancel", reason="too many meetings")
    assert (canceled.status_code, canceled.json()["outcome"]) == (200, "scheduled")
    await shop.deliver()
    scheduled = await subscription(owner)
    assert (scheduled["tier"], scheduled["cancel_at_period_end"]) == ("professional", True)
    assert scheduled["cancel_at"] == "2026-12-21T09:00:00Z"
    refused = await ask(owner, "change", plan="enterprise")
    assert (refused.status_code, refused.json()["code"]) == (409, "cancellation_scheduled")

    resumed = await ask(owner, "resume")
    assert resumed.status_code == 200
    assert (resumed.json()["cancel_at_period_end"], resumed.json()["cancel_at"]) == (False, None)
    nothing = await ask(owner, "resume")
    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_to_resume")

    await ask(owner, "cancel")
    await shop.advance(days=30, hours=2)
    ended = await subscription(owner)
    assert (ended["tier"], ended["status"]) == ("free", "canceled")
    over = await ask(owner, "resume")
    assert (over.status_code, over.json()["code"]) == (409, "subscription_ended")


async def test_a_downgrade_that_was_chosen_survives_a_cancellation(shop: Shop) -> None:
    """Stripe releases the schedule of a subscription that is canceled; resuming makes it again."""
    owner = await subscribed(shop, "professional")
    await ask(owner, "change", plan="starter")
    await ask(owner, "cancel")
    await shop.deliver()
    canceled = await subscription(owner)
    assert (canceled["pending_change"], canceled["cancel_at_period_end"]) == (None, True)

    resumed = await ask(owner, "resume")
    assert (resumed.status_code, resumed.json()["outcome"]) == (200, "applied")
    assert resumed.json()["pending_change"] == {
        "plan": "starter",
        "interval": "month",
        "effective_at": "2026-12-21T09:00:00Z",
        "reason": "period_end",
    }
    await shop.deliver()
    await shop.advance(days=30, hours=2)
    await shop.advance(hours=2)
    after = await subscription(owner)
    assert (after["tier"], after["amount"], after["pending_change"]) == ("starter", 9900, None)

    # What another period had put aside is not chosen again.
    await ask(owner, "cancel")
    resumed = await ask(owner, "resume")
    assert (resumed.json()["plan"], resumed.json()["pending_change"]) == ("starter", None)


async def test_resuming_after_a_lost_answer_chooses_the_downgrade_too(shop: Shop) -> None:
    owner = await subscribed(shop, "professional")
    await ask(owner, "change", plan="starter")
    await ask(owner, "cancel")
    await shop.account.control(
        "faults", kind="server_error", count=8, path="/v1/subscription_schedules", method="POST"
    )
    lost = await ask(owner, "resume")
    assert lost.status_code == 503, lost.text
    await shop.account.http.delete("/_sandbox/faults")
    assert (await ask(owner, "resume")).json()["pending_change"]["plan"] == "starter"


async def test_a_cancellation_from_the_portal_is_taken_back_too(shop: Shop) -> None:
    """The portal schedules by `cancel_at` with the flag unset."""
    owner = await subscribed(shop)
    portal = await owner.client.post(
        "/api/v1/billing/portal", json={"return_url": "https://app.test/settings"}
    )
    assert portal.status_code == 201
    [bought] = shop.account.find("subscription")
    clicked = await shop.account.click(portal.json()["url"], "cancel", subscription=bought["id"])
    assert clicked.status_code in {200, 302, 303}, clicked.text
    await shop.deliver()
    [bought] = shop.account.find("subscription")
    assert (bought["cancel_at_period_end"], bought["cancel_at"] is None) == (False, False)
    scheduled = await subscription(owner)
    assert scheduled["cancel_at_period_end"] is True

    assert (await ask(owner, "resume")).status_code == 200
    [bought] = shop.account.find("subscription")
    assert bought["cancel_at"] is None


async def test_canceling_at_once_ends_access_at_once(shop: Shop) -> None:
    owner = await subscribed(shop)
    canceled = await ask(owner, "cancel", at_period_end=False)
    assert (canceled.json()["outcome"], canceled.json()["status"]) == ("applied", "canceled")
    assert canceled.json()["tier"] == "free"
    session = await checkout(owner)
    await shop.account.click(session["url"])
    await shop.deliver()
    assert (await subscription(owner))["tier"] == "professional", "and one may come back"


async def test_a_renewal_opens_the_next_window_once(shop: Shop) -> None:
    owner = await subscribed(shop)
    await shop.advance(days=30, hours=2)
    await shop.advance(hours=2)
    periods = await shop.rows("select starts_at, ends_at from paid_periods order by starts_at")
    assert [period["starts_at"].month for period in periods] == [11, 12]
    granted = await shop.service.services[OrganizationService].entitlements(owner.organization_id)
    assert granted.window is not None
    assert granted.window.start == periods[1]["starts_at"]

    # Everything once more, oldest first: nothing moves.
    events = await shop.rows("select event_id from stripe_events order by id")
    for event in events:
        await shop.service.services[StripeInbox].replay(event["event_id"])
    await shop.service.drain()
    assert await shop.rows("select starts_at, ends_at from paid_periods order by starts_at") == (
        periods
    )
    again = await shop.service.services[OrganizationService].entitlements(owner.organization_id)
    assert again == granted


@pytest.fixture
async def unpaid(shop: Shop) -> Owner:
    """A customer whose first renewal has just failed."""
    owner = await subscribed(shop)
    await shop.decline_from_now_on("insufficient_funds")
    await shop.advance(days=30, hours=2)
    return owner


async def test_a_failed_renewal_keeps_access_for_the_grace_to_the_second(
    shop: Shop, unpaid: Owner
) -> None:
    owed = await subscription(unpaid)
    assert (owed["tier"], owed["status"], owed["payment_state"]) == (
        "professional",
        "past_due",
        "past_due",
    )
    [failure] = await shop.rows(
        "select first_failed_at from invoice_collections where settled_at is null"
    )
    ends = failure["first_failed_at"] + timedelta(days=10)
    assert owed["grace_until"] == ends.isoformat().replace("+00:00", "Z")
    assert len(await shop.rows("select 1 from paid_periods")) == 1, "no fresh quota for no money"
    due = await shop.rows("select 1 from pgqueuer where entrypoint = 'subscriptions.review_access'")
    assert due, "somebody will look when the grace is over"

    review = shop.service.services[SubscriptionMirror].review_access
    shop.clock.set(ends - timedelta(seconds=1))
    await review(unpaid.organization_id)
    assert (await subscription(unpaid))["tier"] == "professional"
    shop.clock.set(ends)
    await review(unpaid.organization_id)
    over = await subscription(unpaid)
    assert (over["tier"], over["plan"], over["status"]) == ("free", "professional", "past_due")
    organization = (await unpaid.client.get(f"/api/v1/organizations/{unpaid.id}")).json()
    assert organization["tier"] == "free"


async def test_paying_brings_everything_back_at_once(shop: Shop, unpaid: Owner) -> None:
    shop.clock.advance(days=4)
    await shop.decline_from_now_on(None)
    await shop.advance(hours=1)
    back = await subscription(unpaid)
    assert (back["tier"], back["status"], back["payment_state"]) == ("professional", "active", "ok")
    assert back["grace_until"] is None
    assert await shop.rows("select 1 from invoice_collections where settled_at is null") == []
    assert len(await shop.rows("select 1 from paid_periods")) == 2


async def test_a_late_failure_event_after_the_payment_changes_nothing(
    shop: Shop, unpaid: Owner
) -> None:
    shop.clock.advance(days=4)
    await shop.decline_from_now_on(None)
    await shop.advance(hours=1)
    [failed, *_] = await shop.rows(
        "select event_id from stripe_events where type = 'invoice.payment_failed' order by id"
    )
    await shop.service.services[StripeInbox].replay(failed["event_id"])
    await shop.service.drain()
    after = await subscription(unpaid)
    assert (after["tier"], after["payment_state"]) == ("professional", "ok")


async def test_giving_up_on_payment_ends_it(shop: Shop, unpaid: Owner) -> None:
    for _ in range(5):
        await shop.advance(days=4)
    ended = await subscription(unpaid)
    assert (ended["tier"], ended["status"]) == ("free", "canceled")


async def test_yearly_is_an_upgrade_and_monthly_again_waits(shop: Shop) -> None:
    owner = await subscribed(shop, "professional")
    yearly = await ask(owner, "change", plan="professional", interval="year")
    assert yearly.status_code == 200, yearly.text
    await shop.deliver()
    assert (await subscription(owner))["interval"] == "year"
    monthly = await ask(owner, "change", plan="professional", interval="month")
    assert monthly.json()["outcome"] == "scheduled", monthly.text


async def test_the_next_bill_can_be_seen(shop: Shop) -> None:
    stranger = await an_owner(shop.service)
    assert (await stranger.client.get("/api/v1/billing/invoices/upcoming")).status_code == 404
    owner = await subscribed(shop)
    coming = (await owner.client.get("/api/v1/billing/invoices/upcoming")).json()
    assert (coming["amount_due"], coming["currency"]) == (29900, "usd")
    assert coming["due_at"] == "2026-12-21T09:00:00Z"


async def test_saved_cards_are_shown(shop: Shop) -> None:
    stranger = await an_owner(shop.service)
    assert (await stranger.client.get("/api/v1/billing/payment-methods")).json() == {"data": []}
    owner = await subscribed(shop)
    [card] = (await owner.client.get("/api/v1/billing/payment-methods")).json()["data"]
    assert card["card"]["brand"] == "visa"
    assert len(card["card"]["last4"]) == 4
    assert card["is_default"] is True


@pytest.mark.parametrize("verb", ["preview", "change", "cancel", "resume"])
async def test_without_a_subscription_there_is_nothing_to_change(shop: Shop, verb: str) -> None:
    owner = await an_owner(shop.service)
    body = {"plan": "starter"} if verb in {"preview", "change"} else {}
    answer = await ask(owner, verb, **body)
    assert (answer.status_code, answer.json()["code"]) == (404, "no_subscription")


async def use_a_debate(owner: Owner, shop: Shop) -> None:
    answer = await call(owner, "GET", "quota")
    assert answer.status_code == 200
    event = {"id": f"debate-{shop.clock.now().isoformat()}-{owner.id}", "type": "debate"}
    answer = await owner.client.post("/api/v1/usage/events", json=event)
    assert answer.status_code == 201, answer.text


async def debates_used(owner: Owner) -> tuple[int, int]:
    found = (await call(owner, "GET", "quota")).json()["data"]
    [debates] = [one for one in found if one["metric"] == "debates"]
    return int(debates["used"]), int(debates["limit"])


async def test_a_quota_starts_afresh_when_the_period_is_paid_for(shop: Shop) -> None:
    owner = await subscribed(shop)
    await use_a_debate(owner, shop)
    assert await debates_used(owner) == (1, 200)
    await shop.advance(days=30, hours=2)
    await shop.advance(hours=2)
    assert await debates_used(owner) == (0, 200)
    await use_a_debate(owner, shop)
    assert await debates_used(owner) == (1, 200)


async def test_an_unpaid_period_brings_no_fresh_quota(shop: Shop, unpaid: Owner) -> None:
    await use_a_debate(unpaid, shop)
    assert await debates_used(unpaid) == (1, 200)
    shop.clock.advance(days=4)
    await use_a_debate(unpaid, shop)
    assert await debates_used(unpaid) == (2, 200)
