"""Trials, pauses, first payments that take days, plans given by hand, cards that end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.gateways.stripe.errors import StripeUnavailable
from app.gateways.stripe.gateway import StripeCheckout, StripePause, StripeSubscription
from app.infra.http.schemas import rfc3339
from app.kernel.facts import Fact
from app.subscriptions.events import (
    DuplicateSubscription,
    PaymentActionRequired,
    PaymentFailed,
    PaymentMethodExpiring,
    PriceUnknown,
    TrialEnding,
)
from app.subscriptions.repository import CheckoutRepository
from app.subscriptions.service import ExpiringCards
from app.subscriptions.service.cards import ends_at
from tests.factories.operators import an_operator
from tests.factories.people import Owner, an_owner
from tests.factories.subscriptions import URLS, ask, call, checkout, subscription
from tests.features.subscriptions.conftest import Store


@pytest.fixture
def facts(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[Fact]:
    heard: list[Fact] = []
    announce = store.service.work.announce

    def listen(fact: Fact) -> None:
        heard.append(fact)
        announce(fact)

    monkeypatch.setattr(store.service.work, "announce", listen)
    return heard


def of(facts: list[Fact], kind: type[Fact]) -> list[Fact]:
    return [fact for fact in facts if type(fact) is kind]


async def told(store: Store, owner: Owner, **changes: Any) -> StripeSubscription:
    """Let what *owner* bought be different at Stripe, and be told of it."""
    changed = replace(store.bought_by(owner), **changes)
    store.stripe.subscriptions[changed.id] = changed
    await store.tell("customer.subscription.updated", changed.id)
    return changed


# Trials --------------------------------------------------------------------------------------


async def a_trial_that_nobody_heard_of(store: Store) -> Owner:
    """Bought with a trial and ended at Stripe, before a single event has come."""
    owner = await store.subscribed(trial_days=14)
    bought = store.bought_by(owner)
    store.stripe.subscriptions[bought.id] = replace(
        bought, status="canceled", ended_at=store.clock.now()
    )
    return owner


async def trial_of_the_next_page(store: Store, owner: Owner) -> int:
    await checkout(owner, "starter", trial_days=14)
    [row] = await store.rows(
        "select trial_days from checkout_attempts where organization_id = :id and state = 'open'",
        id=owner.organization_id,
    )
    return int(row["trial_days"])


async def test_a_trial_counts_though_nothing_was_heard_of_it(store: Store) -> None:
    owner = await a_trial_that_nobody_heard_of(store)
    assert await trial_of_the_next_page(store, owner) == 0


async def test_without_the_completed_page_there_would_be_a_second_trial(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forgets(self: object, organization_id: object) -> bool:
        return False

    monkeypatch.setattr(CheckoutRepository, "has_completed_with_trial", forgets)
    owner = await a_trial_that_nobody_heard_of(store)
    assert await trial_of_the_next_page(store, owner) == 14


async def test_a_trial_that_stripe_forgot_was_one_all_the_same(store: Store) -> None:
    owner = await store.subscribed(trial_days=14)
    bought = store.bought_by(owner)
    await store.tell("customer.subscription.created", bought.id)
    await told(store, owner, trial_start=None, trial_end=None, status="canceled")
    await store.rows(
        "update checkout_attempts set trial_days = 0 where organization_id = :id returning id",
        id=owner.organization_id,
    )
    assert await trial_of_the_next_page(store, owner) == 0


async def test_the_end_of_a_trial_is_announced_once(store: Store, facts: list[Fact]) -> None:
    owner = await store.subscribed(trial_days=14)
    bought = store.bought_by(owner)
    await store.tell("customer.subscription.created", bought.id)
    assert of(facts, TrialEnding) == []
    store.clock.advance(days=11)
    for _ in range(3):
        await store.tell("customer.subscription.trial_will_end", bought.id)
        await store.mirror.review_access(owner.organization_id)
    [ending] = of(facts, TrialEnding)
    assert isinstance(ending, TrialEnding)
    assert ending.trial_end == bought.trial_end


async def test_it_is_announced_though_stripe_did_not_say_so(
    store: Store, facts: list[Fact]
) -> None:
    owner = await store.subscribed(trial_days=14)
    await store.tell("customer.subscription.created", store.bought_by(owner).id)
    await store.service.drain()
    store.clock.advance(days=11)
    await store.service.drain()
    assert len(of(facts, TrialEnding)) == 1, "the appointment was kept"


async def test_a_trial_that_will_not_be_charged_ends_quietly(
    store: Store, facts: list[Fact]
) -> None:
    owner = await store.subscribed(trial_days=14)
    bought = await told(store, owner, cancel_at_period_end=True)
    store.clock.advance(days=12)
    await store.tell("customer.subscription.trial_will_end", bought.id)
    assert of(facts, TrialEnding) == []


# First payments, pauses, duplicates ------------------------------------------------------------


async def test_a_first_payment_on_its_way_grants_nothing_yet(store: Store) -> None:
    owner = await store.subscribed()
    await told(store, owner, awaits_first_payment=True)
    waiting = await subscription(owner)
    assert (waiting["tier"], waiting["status"], waiting["payment_state"]) == (
        "free",
        "active",
        "processing",
    )
    await told(store, owner, awaits_first_payment=False)
    assert (await subscription(owner))["tier"] == "professional"


async def test_a_pause_of_the_subscription_takes_access_and_is_shown(store: Store) -> None:
    owner = await store.subscribed()
    await told(store, owner, status="paused", pause=StripePause(False, "final_payment_failure"))
    paused = await subscription(owner)
    assert (paused["tier"], paused["payment_state"]) == ("free", "unpaid")
    assert paused["pause"] == {
        "kind": "subscription",
        "reason": "final_payment_failure",
        "resumes_at": None,
    }
    refused = await call(owner, "POST", "checkout", {"plan": "starter", **URLS})
    assert refused.json()["code"] == "already_subscribed"
    assert (await ask(owner, "resume")).json()["tier"] == "professional"


async def test_a_pause_of_collecting_takes_nothing_and_is_lifted_by_resume(store: Store) -> None:
    owner = await store.subscribed()
    until = store.clock.now() + timedelta(days=60)
    await told(store, owner, pause=StripePause(True, "void", until))
    resting = await subscription(owner)
    assert (resting["tier"], resting["payment_state"]) == ("professional", "ok")
    assert resting["pause"] == {
        "kind": "collection",
        "reason": "void",
        "resumes_at": rfc3339(until),
    }
    assert (await ask(owner, "resume")).json()["pause"] is None


async def test_a_duplicate_and_a_strange_price_are_announced(
    store: Store, facts: list[Fact]
) -> None:
    owner = await store.subscribed("starter")
    bought = store.bought_by(owner)
    await store.take(owner, bought)
    second = replace(bought, id=f"{bought.id}_b")
    for _ in range(2):
        await store.take(owner, second)
    [duplicate] = of(facts, DuplicateSubscription)
    assert isinstance(duplicate, DuplicateSubscription)
    assert duplicate.stripe_subscription_id == second.id
    [item] = bought.items
    await store.take(owner, replace(bought, items=(replace(item, price_id="price_strange"),)))
    assert of(facts, PriceUnknown) == [
        PriceUnknown(owner.organization_id, bought.id, "price_strange")
    ]


async def test_an_attempt_that_asks_for_action_is_told_once_and_not_as_a_failure_too(
    store: Store, facts: list[Fact]
) -> None:
    owner = await store.subscribed()
    bought = store.bought_by(owner)
    await store.take(owner, bought)
    store.clock.advance(days=30)
    failed = store.stripe.renew(bought.id, is_paid=False)
    store.stripe.invoices[failed.id or ""] = replace(failed, attempt_count=1)
    for kind in ("payment_action_required", "payment_failed", "payment_action_required"):
        await store.tell(f"invoice.{kind}", failed.id or "")
    assert (len(of(facts, PaymentActionRequired)), of(facts, PaymentFailed)) == (1, [])
    store.stripe.invoices[failed.id or ""] = replace(failed, attempt_count=2)
    for _ in range(2):
        await store.tell("invoice.payment_failed", failed.id or "")
    assert (len(of(facts, PaymentActionRequired)), len(of(facts, PaymentFailed))) == (1, 1)


# Pages -----------------------------------------------------------------------------------------


async def status_of(owner: Owner, session_id: str) -> tuple[int, Any, Any]:
    answer = await call(owner, "GET", f"checkout/{session_id}")
    body = answer.json()
    return answer.status_code, body.get("status"), body.get("is_active")


async def test_who_returns_from_the_page_waits_for_the_webhook(store: Store) -> None:
    owner = await an_owner(store.service)
    page = (await checkout(owner))["id"]
    assert await status_of(owner, page) == (200, "open", False)
    bought = store.stripe.pay(page)
    assert await status_of(owner, page) == (200, "processing", False)
    assert (await subscription(owner))["tier"] == "free", "asking grants nothing"
    await store.tell("checkout.session.completed", page)
    assert await status_of(owner, page) == (200, "complete", True)
    await told(store, owner, awaits_first_payment=True)
    assert await status_of(owner, page) == (200, "processing", False)
    await store.tell("checkout.session.async_payment_failed", page)
    assert await status_of(owner, page) == (200, "failed", False)
    assert bought.id

    stranger = await an_owner(store.service)
    assert (await status_of(stranger, page))[0] == 404


async def test_while_stripe_is_away_an_open_page_stays_open_until_its_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await an_owner(store.service)
    page = (await checkout(owner))["id"]

    async def away(checkout_id: str) -> StripeCheckout:
        raise StripeUnavailable

    monkeypatch.setattr(store.stripe, "get_checkout", away)
    assert await status_of(owner, page) == (200, "open", False)
    store.clock.advance(hours=24)
    assert await status_of(owner, page) == (200, "expired", False)


async def test_an_open_page_is_closed_when_a_subscription_comes_from_elsewhere(
    store: Store,
) -> None:
    owner = await an_owner(store.service)
    page = (await checkout(owner, "enterprise", trial_days=14))["id"]
    other = await store.subscribed("starter")
    elsewhere = replace(
        store.bought_by(other),
        id=f"sub_{owner.id}",
        customer_id=store.stripe.checkouts[page].customer_id or "",
    )
    await store.take(owner, elsewhere)
    assert store.stripe.checkouts[page].is_open
    await store.service.drain()
    assert store.stripe.checkouts[page].status == "expired"
    assert await status_of(owner, page) == (200, "expired", False)


# Plans given by hand ---------------------------------------------------------------------------


async def test_a_given_plan_outlasts_stripes_events_until_its_end(store: Store) -> None:
    owner = await store.subscribed("starter")
    bought = store.bought_by(owner)
    await store.tell("customer.subscription.created", bought.id)
    operator = await an_operator(store.service)
    path = f"/api/v1/admin/organizations/{owner.id}/plan"
    ends = store.clock.now() + timedelta(days=5)
    asked = {"plan": "enterprise", "reason": "a pilot", "ends_at": rfc3339(ends)}
    given = await operator.post(path, json=asked)
    assert (given.status_code, given.json()["tier"]) == (201, "enterprise"), given.text
    assert (await operator.get(path)).json() == given.json()
    for kind in ("updated", "created"):
        await store.tell(f"customer.subscription.{kind}", bought.id)
        assert (await subscription(owner))["tier"] == "enterprise"
    await store.service.drain()
    store.clock.set(ends - timedelta(seconds=1))
    await store.service.drain()
    assert (await subscription(owner))["tier"] == "enterprise"
    store.clock.set(ends)
    await store.service.drain()
    after = await subscription(owner)
    assert (after["tier"], after["plan"], after["amount"]) == ("starter", "starter", 9900)


async def test_the_higher_of_given_and_bought_counts(store: Store) -> None:
    owner = await store.subscribed("professional")
    await store.tell("customer.subscription.created", store.bought_by(owner).id)
    operator = await an_operator(store.service)
    path = f"/api/v1/admin/organizations/{owner.id}/plan"
    later = rfc3339(store.clock.now() + timedelta(days=90))
    lower = await operator.post(
        path, json={"plan": "starter", "reason": "goodwill", "ends_at": later}
    )
    assert (lower.status_code, lower.json()["tier"]) == (201, "professional")
    await told(store, owner, status="canceled")
    assert (await subscription(owner))["tier"] == "starter", "what is given is left"
    withdrawn = await operator.post(f"{path}/withdraw", json={"reason": "a mistake"})
    assert withdrawn.status_code == 204
    assert (await subscription(owner))["tier"] == "free"
    assert (await operator.get(path)).json()["code"] == "no_manual_plan"
    again = await operator.post(f"{path}/withdraw", json={"reason": "twice"})
    assert (again.status_code, again.json()["code"]) == (404, "no_manual_plan")


async def test_what_cannot_be_given(store: Store) -> None:
    owner = await an_owner(store.service)
    operator = await an_operator(store.service)
    path = f"/api/v1/admin/organizations/{owner.id}/plan"
    soon = rfc3339(store.clock.now() + timedelta(days=1))
    body = {"plan": "golden", "reason": "why not", "ends_at": soon}
    assert (await operator.post(path, json=body)).json()["code"] == "unknown_plan"
    body |= {"plan": "starter", "ends_at": rfc3339(store.clock.now())}
    assert (await operator.post(path, json=body)).json()["code"] == "ends_in_the_past"
    assert (await owner.client.post(path, json=body)).status_code == 403
    nobody = "/api/v1/admin/organizations/org_00000000000000000000000000/plan"
    body["ends_at"] = soon
    assert (await operator.post(nobody, json=body)).status_code == 404


async def test_operators_suspend_and_restore(store: Store) -> None:
    owner = await an_owner(store.service)
    operator = await an_operator(store.service)
    path = f"/api/v1/admin/organizations/{owner.id}"
    event = {"id": f"before-{owner.id}", "type": "debate"}
    for verb, answer in (("suspend", 403), ("restore", 201)):
        for _ in range(2):
            done = await operator.post(f"{path}/{verb}", json={"reason": "a test"})
            assert done.status_code == 204, done.text
        assert (await owner.client.post("/api/v1/usage/events", json=event)).status_code == answer
    me = (await operator.get("/api/v1/auth/me")).json()
    users = "/api/v1/admin/users"
    refused = await operator.post(f"{users}/{me['id']}/suspend", json={"reason": "tired"})
    assert (refused.status_code, refused.json()["code"]) == (409, "suspends_oneself")
    person = (await owner.client.get("/api/v1/auth/me")).json()["id"]
    for verb, answer in (("suspend", 403), ("restore", 200)):
        done = await operator.post(f"{users}/{person}/{verb}", json={"reason": "a test"})
        assert done.status_code == 204, done.text
        assert (await owner.client.get("/api/v1/auth/me")).status_code == answer
    refused = await owner.client.post(f"{path}/suspend", json={"reason": "mine"})
    assert refused.status_code == 403


# Cards -----------------------------------------------------------------------------------------


async def test_a_card_that_ends_is_announced_once(store: Store, facts: list[Fact]) -> None:
    owner = await store.subscribed()
    await store.tell("customer.subscription.created", store.bought_by(owner).id)
    cards = store.service.services[ExpiringCards]
    [saved, *_] = (await call(owner, "GET", "payment-methods")).json()["data"]
    year, month = saved["card"]["exp_year"], saved["card"]["exp_month"]
    store.clock.set(ends_at(year, month) - timedelta(days=40))
    await cards.look_at(owner.organization_id)
    assert of(facts, PaymentMethodExpiring) == []
    store.clock.set(ends_at(year, month) - timedelta(days=30))
    for _ in range(2):
        assert await cards.look_at_all() >= 1
        await store.service.drain()
    ending = [
        fact
        for fact in of(facts, PaymentMethodExpiring)
        if isinstance(fact, PaymentMethodExpiring) and fact.organization_id == owner.organization_id
    ]
    assert [(one.last4, one.exp_year, one.exp_month) for one in ending] == [
        (saved["card"]["last4"], year, month)
    ]


@pytest.mark.parametrize(
    ("year", "month", "end"), [(2026, 11, (2026, 12)), (2026, 12, (2027, 1)), (2028, 2, (2028, 3))]
)
def test_a_card_lasts_to_the_end_of_its_month(year: int, month: int, end: tuple[int, int]) -> None:
    assert ends_at(year, month) == datetime(*end, 1, tzinfo=UTC)
