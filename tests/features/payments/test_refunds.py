"""Money back: once per wish, never more than came in, whatever Stripe does meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.gateways.stripe.errors import StripeUnavailable
from app.gateways.stripe.payments import PaymentsGateway, RefundOrder, StripeRefund
from app.payments.events import RefundFailed, RefundMade
from app.payments.invariants import INVARIANTS
from app.payments.repository import PaymentRepository
from app.payments.service import RefundService
from tests.factories.people import an_owner
from tests.features.payments.conftest import REFUNDS, Till, a_dispute

pytestmark = pytest.mark.usefixtures("every_invariant")


@pytest.fixture
async def every_invariant(till: Till):
    yield
    async with till.shop.service.work.begin_platform() as session:
        for name, (_, statement) in INVARIANTS.items():
            values = {"organization_id": None, "now": till.shop.clock.now()}
            broken = (await session.execute(text(statement), values)).all()
            assert not broken, name


async def test_a_whole_payment_goes_back(till: Till) -> None:
    answer = await till.refund()
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert (body["amount"], body["currency"], body["status"]) == (29900, "usd", "succeeded")
    assert body["organization_id"] == till.owner.id
    [made] = till.at_stripe()
    assert made["id"] == body["stripe_refund_id"]
    assert (made["reason"], made["metadata"]["refund_id"]) == ("requested_by_customer", body["id"])
    assert [fact.amount for fact in till.told(RefundMade)] == [29900]  # type: ignore[attr-defined]
    found = (await till.operator.get(f"{REFUNDS}/{body['id']}")).json()
    assert found == body
    listed = (await till.operator.get(REFUNDS, params={"status": "succeeded"})).json()["data"]
    assert listed == [body]
    again = await till.refund()
    assert (again.status_code, again.json()["code"]) == (409, "already_refunded")
    audit = await till.shop.rows("select action, actor, reason from audit_entries order by id")
    asked = [row for row in audit if row["action"] == "payments.refund_requested"]
    assert [row["reason"] for row in asked] == ["requested_by_customer"]
    assert asked[0]["actor"].startswith("user:")


async def test_what_went_back_counts_no_more_for_the_volume_discount(till: Till) -> None:
    async def spent() -> int:
        answer = await till.owner.client.get("/api/v1/billing/volume-discount")
        return int(answer.json()["cumulative_spend"])

    assert await spent() == 29900
    await till.refund(amount=10000)
    assert await spent() == 19900
    # Heard of again, it is taken off once; and where tax was paid, the tax in it is not.
    await till.shop.deliver()
    async with till.shop.service.work.begin_platform() as session:
        await session.execute(text("update invoices set tax = 2990, subtotal = total - 2990"))
    assert await spent() == 26910 - 9000
    await till.refund()
    assert await spent() == 0


async def test_parts_go_back_until_nothing_is_left(till: Till) -> None:
    assert (await till.refund(amount=10000)).json()["amount"] == 10000
    too_much = await till.refund(amount=19901)
    assert (too_much.status_code, too_much.json()["code"]) == (422, "refund_too_large")
    assert too_much.json()["refundable"] == 19900
    assert (await till.refund()).json()["amount"] == 19900
    assert till.charge()["amount_refunded"] == 29900


async def test_an_invoice_names_its_payment(till: Till) -> None:
    [invoice] = (await till.owner.client.get("/api/v1/billing/invoices")).json()["data"]
    answer = await till.refund(charge_id=None, invoice_id=invoice["id"], amount=100)
    assert answer.status_code == 201, answer.text
    assert answer.json()["stripe_charge_id"] == till.charge_id
    assert answer.json()["stripe_invoice_id"] == invoice["stripe_invoice_id"]


async def test_what_was_refunded_elsewhere_counts(till: Till) -> None:
    done = await till.shop.account.http.post(
        "/v1/refunds",
        data={"charge": till.charge_id, "amount": "20000"},
        headers={"Authorization": "Bearer sk_test_sandbox"},
    )
    assert done.status_code == 200
    assert (await till.refund(amount=9901)).json()["code"] == "refund_too_large"
    assert (await till.refund()).json()["amount"] == 9900
    rows = (await till.operator.get(REFUNDS)).json()["data"]
    assert sorted((row["amount"], row["requested_by"] is None) for row in rows) == [
        (9900, False),
        (20000, True),
    ]
    assert len(till.told(RefundMade)) == 2


async def test_the_same_key_makes_one_refund(till: Till) -> None:
    first = await till.refund(key="one", amount=500)
    second = await till.refund(key="one", amount=500)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.json() == first.json()
    assert len(till.at_stripe()) == 1


async def test_no_more_than_was_paid_goes_back_however_many_ask_at_once(till: Till) -> None:
    answers = await asyncio.gather(*(till.refund(amount=10000) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 422, 422, 422, 422]
    assert sum(refund["amount"] for refund in till.at_stripe()) == 20000


async def test_without_the_lock_more_than_was_paid_would_be_asked_for(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: what the locked row of the charge is for."""
    find = PaymentRepository.find_charge
    gate = asyncio.Barrier(2)

    async def unlocked(self, organization_id, stripe_charge_id, *, lock=False):
        return await find(self, organization_id, stripe_charge_id)

    allowed = RefundService._allowed

    async def together(self, *arguments):
        amount = await allowed(self, *arguments)
        await gate.wait()
        return amount

    async def taken(self, organization_id, report):
        return True

    await till.take(await till.report())
    monkeypatch.setattr(PaymentRepository, "find_charge", unlocked)
    monkeypatch.setattr(RefundService, "_allowed", together)
    monkeypatch.setattr(type(till.mirror), "take", taken)
    await asyncio.gather(till.refund(amount=20000), till.refund(amount=20000))
    [row] = await till.shop.rows("select sum(amount)::bigint as asked from refunds")
    assert row["asked"] == 40000, "two wishes that do not see each other"
    # What Stripe refused is not owed; leave a state that the invariants accept.
    assert sum(refund["amount"] for refund in till.at_stripe()) == 20000
    states = await till.shop.rows("select status from refunds order by status")
    assert [one["status"] for one in states] == ["refused", "succeeded"]


def lose_the_next_answer(till: Till) -> None:
    """Stripe makes the next refund, and nobody hears of it: not even the SDK's own retries."""
    gateway: PaymentsGateway = till.shop.service.services[PaymentsGateway]  # type: ignore[type-abstract]
    create = gateway.create_refund

    async def lost(order: RefundOrder, *, key: str) -> StripeRefund:
        gateway.create_refund = create  # type: ignore[method-assign]
        await create(order, key=key)
        raise StripeUnavailable

    gateway.create_refund = lost  # type: ignore[method-assign]


async def test_an_answer_lost_after_the_refund_was_made_makes_no_second_one(till: Till) -> None:
    lose_the_next_answer(till)
    answer = await till.refund(amount=4000, key="lost")
    assert (answer.status_code, answer.json()["status"]) == (201, "requested")
    assert len(till.at_stripe()) == 1
    assert (await till.refund(key="lost", amount=4000)).json() == answer.json()
    assert await till.shop.service.services[RefundService].make_requested() == 0, "not yet due"
    till.shop.clock.advance(timedelta(minutes=3))
    assert await till.shop.service.services[RefundService].make_requested() == 1
    found = (await till.operator.get(f"{REFUNDS}/{answer.json()['id']}")).json()
    assert found["status"] == "succeeded"
    assert [found["stripe_refund_id"]] == [one["id"] for one in till.at_stripe()]
    assert len(till.told(RefundMade)) == 1


async def test_stripe_down_at_the_call_is_caught_up_by_the_job_alone(till: Till) -> None:
    await till.shop.account.control(
        "faults", kind="server_error", count=7, path="/v1/refunds", method="POST"
    )
    answer = await till.refund(amount=4000)
    assert (answer.status_code, answer.json()["status"]) == (201, "requested")
    # What is asked for is spoken for, answered or not.
    assert (await till.refund(amount=25901)).json()["code"] == "refund_too_large"
    for _ in range(4):
        till.shop.clock.advance(timedelta(minutes=10))
        await till.shop.service.services[RefundService].make_requested()
    assert [refund["amount"] for refund in till.at_stripe()] == [4000]
    assert (await till.operator.get(f"{REFUNDS}/{answer.json()['id']}")).json()[
        "status"
    ] == "succeeded"


async def test_stripe_unreachable_before_anything_is_written_says_so(till: Till) -> None:
    await till.shop.account.control("faults", kind="server_error", count=3, path="/v1/charges")
    answer = await till.refund()
    assert (answer.status_code, answer.json()["code"]) == (503, "stripe_unavailable")
    assert await till.shop.rows("select 1 from refunds") == []


async def test_two_workers_settle_one_refund_once(till: Till) -> None:
    lose_the_next_answer(till)
    await till.refund(amount=4000)
    till.shop.clock.advance(timedelta(minutes=3))
    service = till.shop.service.services[RefundService]
    counts = await asyncio.gather(*(service.make_requested() for _ in range(4)))
    assert sorted(counts) == [0, 0, 0, 1]
    assert len(till.at_stripe()) == 1
    assert len(till.told(RefundMade)) == 1


async def test_what_stripe_refuses_is_kept_as_refused_and_frees_the_amount(till: Till) -> None:
    gateway: PaymentsGateway = till.shop.service.services[PaymentsGateway]  # type: ignore[type-abstract]
    # Between our look and our call somebody refunds all of it at Stripe.
    create = gateway.create_refund

    async def late(order: RefundOrder, *, key: str) -> StripeRefund:
        await till.shop.account.http.post(
            "/v1/refunds",
            data={"charge": till.charge_id},
            headers={"Authorization": "Bearer sk_test_sandbox"},
        )
        return await create(order, key=key)

    gateway.create_refund = late  # type: ignore[method-assign]
    answer = await till.refund(amount=4000)
    assert (answer.status_code, answer.json()["code"]) == (422, "refund_refused")
    assert answer.json()["stripe_code"] == "charge_already_refunded"
    found = (await till.operator.get(f"{REFUNDS}/{answer.json()['refund_id']}")).json()
    assert (found["status"], found["failure_reason"]) == ("refused", "charge_already_refunded")
    assert till.told(RefundMade) == []


async def test_a_refund_that_fails_later_gives_the_amount_back(till: Till) -> None:
    made = (await till.refund()).json()
    before = await till.report()
    [refund] = before.refunds
    failed = replace(refund, status="failed", failure_reason="lost_or_stolen_card")
    charge = replace(before.charge, amount_refunded=0)
    after = await till.report(charge=charge, refunds=(failed,))
    for report in (after, before, after):
        await till.take(report)
    found = (await till.operator.get(f"{REFUNDS}/{made['id']}")).json()
    assert (found["status"], found["failure_reason"]) == ("failed", "lost_or_stolen_card")
    [row] = await till.shop.rows("select amount_refunded from charges")
    assert row["amount_refunded"] == 0
    assert len(till.told(RefundMade)) == len(till.told(RefundFailed)) == 1


async def test_a_disputed_payment_does_not_go_back(till: Till) -> None:
    # The sandbox does not know of it: what was heard here counts as well.
    await till.take(await till.report(disputes=(a_dispute(till),)))
    answer = await till.refund()
    assert (answer.status_code, answer.json()["code"]) == (409, "charge_disputed")
    await till.take(await till.report(disputes=(a_dispute(till, "lost"),)))
    assert (await till.refund()).json()["code"] == "charge_disputed"
    await till.take(await till.report(disputes=(a_dispute(till, "won"),)))
    assert (await till.refund(amount=1)).status_code == 201


async def test_an_inquiry_may_be_settled_by_a_refund_where_stripe_says_so(till: Till) -> None:
    inquiry = a_dispute(till, "warning_needs_response", is_charge_refundable=False)
    await till.take(await till.report(disputes=(inquiry,)))
    assert (await till.refund()).json()["code"] == "charge_disputed"
    await till.take(await till.report(disputes=(a_dispute(till, "warning_needs_response"),)))
    assert (await till.refund()).status_code == 201


async def test_who_asks_for_what_is_not_there(till: Till) -> None:
    assert (await till.refund(charge_id="ch_nobody")).json()["code"] == "charge_not_found"
    nobodys = "inv_00000000000000000000000000"
    gone = await till.refund(charge_id=None, invoice_id=nobodys)
    assert (gone.status_code, gone.json()["code"]) == (404, "charge_not_found")
    both = await till.refund(invoice_id=nobodys)
    assert both.status_code == 422
    assert (await till.refund(charge_id=None)).status_code == 422
    stranger = await an_owner(till.shop.service)
    for asked in (
        stranger.client.get(REFUNDS),
        stranger.client.post(REFUNDS, json={"charge_id": till.charge_id, "reason": "x"}),
    ):
        assert (await asked).status_code == 403
    missing = await till.operator.get(f"{REFUNDS}/ref_00000000000000000000000000")
    assert (missing.status_code, missing.json()["code"]) == (404, "refund_not_found")


async def test_operators_see_charges_and_what_went_back(till: Till) -> None:
    path = "/api/v1/admin/billing/recent-charges"
    [before] = (await till.operator.get(path)).json()["data"]
    assert (before["id"], before["amount"], before["status"]) == (
        till.charge_id,
        29900,
        "succeeded",
    )
    assert (before["amount_refunded"], before["refunded"], before["paid"]) == (0, False, True)
    assert before["invoice_number"]
    await till.refund()
    await till.shop.deliver()
    [after] = (await till.operator.get(path)).json()["data"]
    assert (after["amount_refunded"], after["refunded"]) == (29900, True)


async def test_a_paid_invoice_brings_its_charge_here(till: Till) -> None:
    [row] = await till.shop.rows("select * from charges")
    [invoice] = (await till.owner.client.get("/api/v1/billing/invoices")).json()["data"]
    assert (row["stripe_charge_id"], row["amount"]) == (till.charge_id, 29900)
    assert row["stripe_invoice_id"] == invoice["stripe_invoice_id"]
