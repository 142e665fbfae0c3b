"""Refunds: never more than was charged, once per intent, and not always for good."""

from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import Account
from tests.support import stripe_contract as contract


async def _charge(account: Account, card: str = "pm_card_visa") -> Any:
    customer = await account.customer(card=card)
    await account.subscription(customer=customer.id)
    return (await account.stripe.v1.charges.list_async()).data[0]


async def _amounts(account: Account, charge: str) -> tuple[int, bool]:
    found = await account.stripe.v1.charges.retrieve_async(charge)
    return (found.amount_refunded, found.refunded)


async def _told(account: Account) -> list[str]:
    return [one for one in await account.event_types() if "refund" in one]


async def test_the_same_refund_asked_for_twice_is_made_once(account: Account) -> None:
    charge = await _charge(account)
    refunds = account.stripe.v1.refunds
    for _ in range(2):
        made = await refunds.create_async(
            {"charge": charge.id, "amount": 4000}, {"idempotency_key": "refund:1"}
        )
    assert await _amounts(account, charge.id) == (4000, False)
    assert await _told(account) == ["refund.created", "charge.refunded"]
    other = await refunds.create_async({"charge": charge.id}, {"idempotency_key": "refund:2"})
    assert (other.amount, other.id != made.id) == (5900, True)
    told = [one["data"]["object"] for one in await account.events("charge.refunded")]
    assert [one["amount_refunded"] for one in told] == [4000, 9900]


async def test_a_refund_that_comes_back_can_be_made_again(account: Account) -> None:
    charge = await _charge(account, "pm_card_refundFail")
    refunds = account.stripe.v1.refunds
    made = await refunds.create_async({"charge": charge.id})
    assert made.status == "succeeded"
    assert await _amounts(account, charge.id) == (9900, True)
    await account.advance(hours=1)
    failed = await refunds.retrieve_async(made.id)
    assert (failed.status, failed.failure_reason) == ("failed", "expired_or_canceled_card")
    assert await _amounts(account, charge.id) == (0, False)
    assert (await _told(account))[2:] == [
        "refund.updated",
        "charge.refund.updated",
        "refund.failed",
    ]
    await account.advance(hours=2)
    assert len(await _told(account)) == 5
    assert (await refunds.create_async({"charge": charge.id})).amount == 9900


async def test_a_refund_may_take_its_time(account: Account) -> None:
    charge = await _charge(account, "pm_card_pendingRefund")
    refunds = account.stripe.v1.refunds
    made = await refunds.create_async({"charge": charge.id, "amount": 900})
    assert (made.status, made.pending_reason) == ("pending", "processing")
    assert await _amounts(account, charge.id) == (900, False)
    await account.advance(hours=1)
    arrived = await refunds.retrieve_async(made.id)
    assert arrived.status == "succeeded"
    assert "pending_reason" not in arrived
    assert (await _told(account))[2:] == ["refund.updated", "charge.refund.updated"]


async def test_a_test_says_when_a_refund_fails(account: Account) -> None:
    charge = await _charge(account)
    refunds = account.stripe.v1.refunds
    first = await refunds.create_async({"charge": charge.id, "amount": 900})
    await refunds.create_async({"charge": charge.id, "amount": 100})
    await account.control(f"refunds/{first.id}", status="failed")
    assert await _amounts(account, charge.id) == (100, False)
    again = await account.http.post(f"/_sandbox/refunds/{first.id}", json={"status": "failed"})
    assert again.status_code == 400


async def test_a_refund_keeps_notes_and_is_not_taken_back(account: Account) -> None:
    charge = await _charge(account)
    refunds = account.stripe.v1.refunds
    made = await refunds.create_async(
        {"charge": charge.id, "reason": "duplicate", "metadata": {"a": "1"}}
    )
    noted = await refunds.update_async(made.id, {"metadata": {"b": "2"}})
    assert noted.metadata is not None
    assert noted.metadata.to_dict() == {"a": "1", "b": "2"}
    with pytest.raises(stripe.InvalidRequestError, match="cannot be canceled"):
        await refunds.cancel_async(made.id)


@pytest.mark.skipif(not contract.SPEC.exists(), reason="Stripe's spec is not at hand")
async def test_refunds_have_stripes_shape_at_every_turn(account: Account) -> None:
    for card in ("pm_card_pendingRefund", "pm_card_refundFail"):
        charge = await _charge(account, card)
        await account.stripe.v1.refunds.create_async({"charge": charge.id})
    await account.advance(hours=1)
    for kind in ("refund.created", "refund.updated", "refund.failed", "charge.refunded"):
        told = await account.events(kind)
        assert told
        for event in told:
            assert contract.response_problems(event["data"]["object"]) == []
