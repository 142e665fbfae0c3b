"""What a customer is told over a hard month: each thing once, whatever is said twice."""

from __future__ import annotations

from app.jobs import handlers
from app.webhooks.service.inbox import StripeInbox
from tests.factories.people import Owner
from tests.factories.subscriptions import subscribed, subscription
from tests.support.stripe_account import Shop


def told(shop: Shop, owner: Owner) -> list[str]:
    """Subjects without the organization's name, but for the confirmation of the address."""
    return [
        mail.subject.removeprefix("Analytical Engines: ")
        for mail in shop.service.mail.to(owner.email)
        if not mail.subject.startswith("Confirm")
    ]


async def a_day_passes(shop: Shop) -> None:
    """With what a worker's schedule does meanwhile."""
    await shop.advance(days=1)
    await handlers(shop.service.services)["recovery.sweep"]({})
    await shop.service.drain()


async def everything_again(shop: Shop) -> None:
    inbox = shop.service.services[StripeInbox]
    for row in await shop.rows("select event_id from stripe_events order by received_at"):
        await inbox.handle(row["event_id"])
    await shop.service.drain()


async def test_a_month_that_fails_ends_and_is_paid(shop: Shop) -> None:
    owner = await subscribed(shop)
    assert told(shop, owner) == ["receipt for 299.00 USD"]
    await shop.decline_from_now_on()
    await shop.advance(days=30, hours=2)
    seen = told(shop, owner)
    assert seen[1:] == ["a payment of 299.00 USD failed"]
    (failure,) = [mail for mail in shop.service.mail.to(owner.email) if "failed" in mail.subject]
    assert "Everything goes on as before until 2026-12-31" in failure.text
    for _ in range(12):
        await a_day_passes(shop)
    seen = told(shop, owner)
    attempts = [subject for subject in seen if subject.startswith("attempt")]
    assert attempts
    assert len(attempts) == len(set(attempts))
    assert sum("unless it is paid" in subject for subject in seen) == 1
    assert sum("the free limits hold now" in subject for subject in seen) == 1

    await everything_again(shop)
    assert told(shop, owner) == seen

    await shop.decline_from_now_on(None)
    for _ in range(5):
        await a_day_passes(shop)
    after = told(shop, owner)[len(seen) :]
    await everything_again(shop)
    assert told(shop, owner)[len(seen) :] == after
    assert sorted(after) == ["receipt for 299.00 USD", "the payment has come in, thank you"]


async def test_nobody_is_asked_to_pay_for_what_has_ended(shop: Shop) -> None:
    """Stripe gives up before the grace is over: to pay the invoice would bring nothing back."""
    await shop.account.control("settings", payment_retry_days=[1, 1], after_retries="cancel")
    owner = await subscribed(shop)
    await shop.decline_from_now_on()
    await shop.advance(days=30, hours=2)
    assert (await subscription(owner))["pay_url"] is not None
    for _ in range(4):
        await a_day_passes(shop)
    held = await subscription(owner)
    assert (held["status"], held["tier"], held["pay_url"]) == ("canceled", "free", None)
    (over,) = [mail for mail in shop.service.mail.to(owner.email) if "free limits" in mail.subject]
    assert "subscribe anew" in over.text
    assert "Pay it" not in over.text
