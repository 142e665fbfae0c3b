"""Credit notes whose money goes back where it came from: once, and somebody is told if not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import URL
from sqlalchemy.exc import IntegrityError

from app.doctor.domain import CheckState
from app.doctor.service import Doctor
from app.gateways.stripe.errors import StripeUnavailable
from app.gateways.stripe.payments import PaymentsGateway, RefundOrder, StripeRefund
from app.kernel.clock import ManualClock
from app.kernel.ids import decode_id
from app.payments.domain import RefundRequest
from app.payments.service import RefundService
from app.payments.service.promised import PromisedRefunds
from tests.factories.billing import act, generate, spend
from tests.factories.operators import an_operator
from tests.factories.people import Owner
from tests.factories.subscriptions import subscribed
from tests.support.stripe_account import Shop, a_shop

INVOICES = "/api/v1/billing/invoices"
NOTES = "/api/v1/billing/credit-notes"
ADMIN = "/api/v1/admin/credit-notes"


@dataclass
class Desk:
    """A customer whose invoice of 300 cents was paid by the card that Stripe keeps."""

    shop: Shop
    owner: Owner
    operator: httpx.AsyncClient
    invoice: dict[str, Any]

    async def promise(self, amount: int | None = None) -> dict[str, Any]:
        return await act(
            self.operator,
            self.invoice,
            "credit-notes",
            lines=[{"line": 0, "amount": amount}],
            kind="goodwill",
            reason="Sorry",
            settlement="refund",
        )

    async def note(self, made: dict[str, Any]) -> dict[str, Any]:
        return dict((await self.owner.client.get(f"{NOTES}/{made['id']}")).json())

    async def refunded(self) -> int:
        found = (await self.owner.client.get(f"{INVOICES}/{self.invoice['id']}")).json()
        return int(found["amount_refunded"])

    def at_stripe(self) -> list[dict[str, Any]]:
        return self.shop.account.find("refund")

    def charge(self) -> str:
        (found,) = [one for one in self.shop.account.find("charge") if one["amount"] == 300]
        return str(found["id"])

    @property
    def keeping(self) -> PromisedRefunds:
        return self.shop.service.services[PromisedRefunds]

    def named(self, made: dict[str, Any]) -> tuple[Any, UUID]:
        return self.owner.organization_id, decode_id("crn", made["id"])

    async def told(self) -> list[str]:
        rows = await self.shop.rows(
            "select kind from notices union all select kind from personal_notices"
        )
        return [row["kind"] for row in rows]


@pytest.fixture
async def desk(fresh_url: URL, clock: ManualClock) -> AsyncIterator[Desk]:
    async with a_shop(fresh_url, clock) as shop:
        owner = await subscribed(shop)
        await shop.deliver()
        await spend(owner, "one", clock.now(), 300)
        operator = await an_operator(shop.service)
        draft = await generate(operator, owner, "2026-11")
        issued = await act(operator, draft, "finalize")
        await shop.service.drain()
        await shop.advance(hours=2)
        paid = (await owner.client.get(f"{INVOICES}/{issued['id']}")).json()
        assert paid["status"] == "paid"
        yield Desk(shop, owner, operator, paid)
        report = await shop.service.services[Doctor].examine()
        assert [one for one in report.findings if one.state is not CheckState.OK] == []


async def test_what_came_by_card_goes_back_to_it(desk: Desk) -> None:
    made = await desk.promise(120)
    assert (made["refund"]["way"], made["refund"]["status"]) == ("stripe", "requested")
    assert desk.at_stripe() == []
    await desk.shop.service.drain()
    (refund,) = desk.at_stripe()
    assert refund["amount"] == 120
    assert refund["metadata"]["refund_id"] == "ref_" + made["id"].removeprefix("crn_")
    kept = await desk.note(made)
    assert (kept["refund"]["status"], kept["refund"]["failure"]) == ("made", None)
    assert await desk.refunded() == 120
    await desk.shop.deliver()
    assert (await desk.note(made), await desk.refunded()) == (kept, 120)
    volume = await desk.owner.client.get("/api/v1/billing/volume-discount")
    # Taken off once, though it is a note and a refund.
    assert volume.json()["cumulative_spend"] == 29_900 + 300 - 120
    rest = await desk.promise()
    await desk.shop.service.drain()
    assert sorted(one["amount"] for one in desk.at_stripe()) == [120, 180]
    assert await desk.refunded() == 300
    assert "refund_made" in await desk.told()

    (returned,) = [one for one in desk.at_stripe() if one["amount"] == 180]
    await desk.shop.account.control(f"refunds/{returned['id']}", status="failed")
    await desk.shop.deliver()
    refund = (await desk.note(rest))["refund"]
    assert (refund["status"], refund["refunded_at"]) == ("failed", None)
    assert await desk.refunded() == 120
    assert {"refund_failed", "refund_not_sent"} <= set(await desk.told())


async def test_however_often_it_is_asked_it_is_sent_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.promise(30)
    await desk.keeping.keep_all()
    assert [one["amount"] for one in desk.at_stripe()] == [30]
    made = await desk.promise(120)
    await asyncio.gather(*(desk.keeping.keep(*desk.named(made)) for _ in range(4)))
    await desk.shop.service.drain()
    await desk.keeping.keep(*desk.named(made))
    assert sorted(one["amount"] for one in desk.at_stripe()) == [30, 120]
    # The control: what looking for the refund of the same name is for.
    request = RefundRequest("again", desk.charge(), amount=120, refund_id=desk.named(made)[1])
    refunds = desk.shop.service.services[RefundService]
    assert (await refunds.make(request, actor="test")).status == "succeeded"

    async def blind(*_: object) -> None:
        return None

    monkeypatch.setattr(RefundService, "_reuse", blind)
    with pytest.raises(IntegrityError):
        await refunds.make(request, actor="test")


async def test_a_lost_answer_sends_no_second_refund(desk: Desk) -> None:
    made = await desk.promise(120)
    service = desk.shop.service.services[RefundService]
    gateway = service._stripe
    service._stripe = LosesAnswers(gateway)
    await desk.shop.service.drain()
    assert (await desk.note(made))["refund"]["status"] == "requested"
    service._stripe = gateway
    desk.shop.clock.advance(timedelta(minutes=5))
    await service.make_requested()
    await desk.shop.service.drain()
    assert [one["amount"] for one in desk.at_stripe()] == [120]
    assert (await desk.note(made))["refund"]["status"] == "made"


class LosesAnswers:
    """Does what it is asked and dies before it tells."""

    def __init__(self, gateway: PaymentsGateway) -> None:
        self._gateway = gateway

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    async def create_refund(self, order: RefundOrder, *, key: str) -> StripeRefund:
        await self._gateway.create_refund(order, key=key)
        raise StripeUnavailable


async def test_what_stripe_cannot_send_is_told_to_operators_and_sent_by_hand(desk: Desk) -> None:
    await desk.shop.account.control("disputes", charge=desk.charge(), reason="fraudulent")
    disputed = await desk.promise(20)
    for _ in range(2):
        await desk.shop.service.drain()
        await desk.keeping.keep(*desk.named(disputed))
    refund = (await desk.note(disputed))["refund"]
    assert (refund["status"], refund["failure"]) == ("failed", "charge_disputed")
    assert (await desk.told()).count("refund_not_sent") == 1
    assert desk.at_stripe() == []
    listed = (await desk.operator.get(ADMIN, params={"refund": "failed"})).json()["data"]
    assert [note["id"] for note in listed] == [disputed["id"]]

    sent = await desk.operator.post(f"{ADMIN}/{disputed['id']}/sent", json={"reference": "SEPA 1"})
    assert (sent.json()["refund"]["way"], sent.json()["refund"]["status"]) == ("transfer", "made")
    assert await desk.refunded() == 20


async def test_together_all_refunds_never_come_to_more_than_was_paid(desk: Desk) -> None:
    async def refund(amount: int) -> httpx.Response:
        return await desk.operator.post(
            "/api/v1/admin/refunds",
            json={"charge_id": desk.charge(), "amount": amount, "reason": "duplicate"},
        )

    async def asked(settlement: str, amount: int | None) -> tuple[int, Any]:
        answer = await desk.operator.post(
            f"/api/v1/admin/invoices/{desk.invoice['id']}/credit-notes",
            json={
                "lines": [{"line": 0, "amount": amount}],
                "kind": "goodwill",
                "reason": "Sorry",
                "settlement": settlement,
            },
        )
        return answer.status_code, answer.json().get("left")

    assert (await refund(200)).status_code == 201
    for settlement in ("refund", "credit"):
        assert await asked(settlement, None) == (409, 100)
    # What a note promises is not free any more, though Stripe has not heard of it.
    assert (await asked("refund", 60))[0] == 201
    refused = await refund(41)
    assert (refused.status_code, refused.json()["refundable"]) == (422, 40)
    await desk.shop.service.drain()
    assert await desk.refunded() == 260
    assert (await refund(40)).status_code == 201
    assert await desk.refunded() == 300
    assert await asked("refund", 1) == (409, 0)


async def test_a_promise_that_was_overtaken_is_not_sent_by_hand(desk: Desk) -> None:
    made = await desk.promise(200)
    # Somebody refunds it at Stripe, which nothing here can refuse.
    done = await desk.shop.account.http.post(
        "/v1/refunds",
        data={"charge": desk.charge(), "amount": "200"},
        headers={"Authorization": "Bearer sk_test_sandbox"},
    )
    assert done.status_code == 200, done.text
    await desk.shop.service.drain()
    refund = (await desk.note(made))["refund"]
    assert (refund["status"], refund["failure"]) == ("failed", "refund_too_large")
    assert (await desk.told()).count("refund_not_sent") == 1
    sent = await desk.operator.post(f"{ADMIN}/{made['id']}/sent", json={"reference": "SEPA 1"})
    assert (sent.status_code, sent.json()["code"]) == (409, "credit_exceeds_invoice")
    assert await desk.refunded() == 200
