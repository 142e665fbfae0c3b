"""Disputes and inquiries: who holds the money, what is told, and how it ends."""

from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import Account
from tests.support import stripe_contract as contract


async def _charge(account: Account) -> Any:
    await account.subscription()
    return (await account.stripe.v1.charges.list_async()).data[0]


async def _told(account: Account) -> list[str]:
    return [one for one in await account.event_types() if one.startswith("charge.dispute")]


async def test_a_dispute_takes_the_money_and_tells_of_it(account: Account) -> None:
    charge = await _charge(account)
    opened = await account.control("disputes", charge=charge.id, reason="product_not_received")
    v1 = account.stripe.v1
    dispute: Any = await v1.disputes.retrieve_async(opened["id"], {"expand": ["charge"]})
    assert (dispute.status, dispute.amount) == ("needs_response", 9900)
    assert (dispute.reason, dispute.is_charge_refundable) == ("product_not_received", False)
    assert dispute.charge.disputed is True
    assert [one.net for one in dispute.balance_transactions] == [-9900 - 1500]
    assert "customer" not in dispute
    assert (await account.event_types())[-3:] == [
        "charge.dispute.created",
        "charge.updated",
        "charge.dispute.funds_withdrawn",
    ]
    [updated] = await account.events("charge.updated")
    assert updated["data"]["previous_attributes"] == {"disputed": False}
    for question in ({"charge": charge.id}, {"payment_intent": str(charge.payment_intent)}):
        params: Any = question
        assert [one.id for one in (await v1.disputes.list_async(params)).data] == [dispute.id]
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await v1.refunds.create_async({"charge": charge.id})
    assert refusal.value.code == "charge_disputed"
    again = await account.http.post("/_sandbox/disputes", json={"charge": charge.id})
    assert again.status_code == 400


@pytest.mark.parametrize(
    ("status", "told", "net"),
    [
        ("won", ["charge.dispute.closed", "charge.dispute.funds_reinstated"], -1500),
        ("lost", ["charge.dispute.closed"], -11400),
    ],
)
async def test_a_dispute_ends(account: Account, status: str, told: list[str], net: int) -> None:
    opened = await account.control("disputes", charge=(await _charge(account)).id)
    closed = await account.control(f"disputes/{opened['id']}", status=status)
    assert (closed["status"], closed["is_charge_refundable"]) == (status, status == "won")
    assert sum(one["net"] for one in closed["balance_transactions"]) == net
    assert (await _told(account))[2:] == told
    again = await account.http.post(f"/_sandbox/disputes/{opened['id']}", json={"status": "lost"})
    assert again.status_code == 400


async def test_an_inquiry_takes_nothing_and_can_be_refunded(account: Account) -> None:
    charge = await _charge(account)
    inquiry = await account.control("disputes", charge=charge.id, inquiry=True)
    assert inquiry["status"] == "warning_needs_response"
    assert (inquiry["is_charge_refundable"], inquiry["balance_transactions"]) == (True, [])
    wrong = await account.http.post(f"/_sandbox/disputes/{inquiry['id']}", json={"status": "won"})
    assert wrong.status_code == 400
    await account.stripe.v1.refunds.create_async({"charge": charge.id, "amount": 100})
    assert await _told(account) == ["charge.dispute.created"]
    await account.stripe.v1.refunds.create_async({"charge": charge.id})
    assert await _told(account) == ["charge.dispute.created", "charge.dispute.closed"]
    after = await account.stripe.v1.disputes.retrieve_async(inquiry["id"])
    assert after.status == "warning_closed"


async def test_an_inquiry_may_become_a_dispute(account: Account) -> None:
    charge = await _charge(account)
    inquiry = await account.control("disputes", charge=charge.id, inquiry=True)
    dispute = await account.control(f"disputes/{inquiry['id']}", status="needs_response")
    assert dispute["is_charge_refundable"] is False
    assert (await _told(account))[1:] == [
        "charge.dispute.updated",
        "charge.dispute.funds_withdrawn",
    ]


@pytest.mark.parametrize(
    ("text", "status"), [("winning_evidence", "won"), ("losing_evidence", "lost"), ("x", None)]
)
async def test_evidence_is_staged_sent_and_judged(
    account: Account, text: str, status: str | None
) -> None:
    disputes = account.stripe.v1.disputes
    opened = await account.control("disputes", charge=(await _charge(account)).id)
    staged = await disputes.update_async(
        opened["id"], {"evidence": {"uncategorized_text": text}, "submit": False}
    )
    assert (staged.status, staged.evidence_details.has_evidence) == ("needs_response", True)
    sent = await disputes.update_async(opened["id"], {"submit": True, "metadata": {"a": "b"}})
    assert sent.evidence_details.submission_count == 1
    assert sent.status == (status or "under_review")
    if status:
        with pytest.raises(stripe.InvalidRequestError, match="closed"):
            await disputes.update_async(opened["id"], {"evidence": {"receipt": "r"}})
    await account.advance(days=30)
    assert (await disputes.retrieve_async(opened["id"])).status == (status or "under_review")


async def test_giving_in_loses_a_dispute(account: Account) -> None:
    opened = await account.control("disputes", charge=(await _charge(account)).id)
    assert (await account.stripe.v1.disputes.close_async(opened["id"])).status == "lost"


async def test_a_dispute_nobody_answers_is_lost_an_inquiry_forgotten(account: Account) -> None:
    dispute = await account.control("disputes", charge=(await _charge(account)).id)
    inquiry = await account.control(
        "disputes", charge=(await _charge(account)).id, inquiry=True
    )  # fmt: skip
    disputes = account.stripe.v1.disputes
    await account.advance(days=8)
    assert (await disputes.retrieve_async(dispute["id"])).status == "needs_response"
    await account.advance(days=2)
    assert (await disputes.retrieve_async(dispute["id"])).status == "lost"
    await account.advance(days=115)
    assert (await disputes.retrieve_async(inquiry["id"])).status == "warning_closed"


@pytest.mark.parametrize("inquiry", [False, True])
async def test_the_account_may_end_a_disputed_subscription(account: Account, inquiry: bool) -> None:
    await account.control("settings", cancel_on_dispute=True)
    subscription = await account.subscription()
    [charge] = (await account.stripe.v1.charges.list_async()).data
    opened = await account.control("disputes", charge=charge.id, inquiry=inquiry)
    after: Any = await account.stripe.v1.subscriptions.retrieve_async(subscription.id)
    assert after.status == ("active" if inquiry else "canceled")
    if inquiry:
        await account.control(f"disputes/{opened['id']}", status="needs_response")
        after = await account.stripe.v1.subscriptions.retrieve_async(subscription.id)
    assert after.cancellation_details.reason == "payment_disputed"


async def test_a_dispute_lives_by_its_customers_clock(account: Account) -> None:
    v1 = account.stripe.v1
    clock = await v1.test_helpers.test_clocks.create_async({"frozen_time": 1772366400})
    customer = await account.customer(test_clock=clock.id)
    await account.subscription(customer=customer.id)
    [charge] = (await v1.charges.list_async()).data
    opened = await account.control("disputes", charge=charge.id)
    await account.advance(days=20)
    assert (await v1.disputes.retrieve_async(opened["id"])).status == "needs_response"
    await v1.test_helpers.test_clocks.advance_async(
        clock.id, {"frozen_time": 1772366400 + 20 * 86_400}
    )
    assert (await v1.disputes.retrieve_async(opened["id"])).status == "lost"


@pytest.mark.skipif(not contract.SPEC.exists(), reason="Stripe's spec is not at hand")
async def test_disputes_have_stripes_shape(account: Account) -> None:
    opened = await account.control("disputes", charge=(await _charge(account)).id)
    closed = await account.control(f"disputes/{opened['id']}", status="won")
    for dispute in (opened, closed):
        assert contract.response_problems(dispute) == []
        for moved in dispute["balance_transactions"]:
            assert contract.response_problems(moved) == []
