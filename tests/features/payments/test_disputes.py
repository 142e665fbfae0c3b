"""Disputes and inquiries: shown, alerted, and suspending where a deployment wants it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import permutations

from app.organizations.service import OrganizationService
from app.payments.events import DisputeClosed, DisputeOpened
from tests.factories.subscriptions import subscription
from tests.features.payments.conftest import Till, a_dispute

DISPUTES = "/api/v1/admin/disputes"
STATEMENT = "/api/v1/billing/statement"
YEAR = {"from": "2026-01-01", "to": "2027-01-01"}


async def test_a_dispute_flags_the_organization_until_it_is_closed(till: Till) -> None:
    assert (await subscription(till.owner))["payment_state"] == "ok"
    await till.take(await till.report(disputes=(a_dispute(till),)))
    assert (await subscription(till.owner))["payment_state"] == "disputed"
    assert (await subscription(till.owner))["tier"] == "professional", "access stays"
    [shown] = (await till.operator.get(DISPUTES, params={"is_open": True})).json()["data"]
    assert (shown["stripe_dispute_id"], shown["reason"]) == ("dp_1", "fraudulent")
    assert (shown["is_open"], shown["is_inquiry"]) == (True, False)
    await till.take(await till.report(disputes=(a_dispute(till, "won"),)))
    assert (await subscription(till.owner))["payment_state"] == "ok"
    assert (await till.operator.get(DISPUTES, params={"is_open": True})).json()["data"] == []
    [closed] = (await till.operator.get(DISPUTES, params={"is_open": False})).json()["data"]
    assert closed["status"] == "won"
    assert [fact.status for fact in till.told(DisputeClosed)] == ["won"]  # type: ignore[attr-defined]


async def test_what_a_bank_takes_and_gives_back_is_on_the_statement(till: Till) -> None:
    """At the instants at which the money moved; an inquiry moves none."""

    async def lines() -> list[tuple[str, int, int]]:
        answer = await till.owner.client.get(STATEMENT, params=YEAR)
        (account,) = answer.json()["accounts"]
        assert {line["reference"] for line in account["account"]["lines"]} == {number}
        return [
            (line["kind"], line["amount"], line["balance"]) for line in account["account"]["lines"]
        ]

    control, clock = till.shop.account.control, till.shop.clock
    (invoice,) = (await till.owner.client.get("/api/v1/billing/invoices")).json()["data"]
    number = invoice["number"]
    paid = [("invoice", 29_900, 29_900), ("payment", -29_900, 0)]
    dispute = await control("disputes", charge=till.charge_id, inquiry=True)
    await till.shop.deliver()
    assert await lines() == paid
    clock.advance(timedelta(hours=1))
    await control(f"disputes/{dispute['id']}", status="needs_response")
    await till.shop.deliver()
    assert await lines() == [*paid, ("dispute", 29_900, 29_900)]
    clock.advance(timedelta(hours=1))
    await control(f"disputes/{dispute['id']}", status="won")
    await till.shop.deliver()
    assert await lines() == [*paid, ("dispute", 29_900, 29_900), ("dispute_won", -29_900, 0)]
    printed = await till.owner.client.get(STATEMENT, params={**YEAR, "format": "html"})
    for words in ("Payment disputed", "Disputed payment returned"):
        assert words in printed.text


async def test_every_order_of_the_news_ends_alike_and_tells_it_once(till: Till) -> None:
    """What was asked later counts, in whatever order answers are written."""
    stages = ("needs_response", "under_review", "lost")
    for number, order in enumerate(permutations(range(3))):
        reports = [
            await till.report(disputes=(a_dispute(till, status, id=f"dp_{number}"),))
            for status in stages
        ]
        till.announced.clear()
        for index in [*order, *order]:
            await till.take(reports[index])
        [row] = await till.shop.rows(
            "select status from disputes where stripe_dispute_id = :id", id=f"dp_{number}"
        )
        assert row["status"] == "lost", order
        assert len(till.told(DisputeClosed)) == 1, order
        assert len(till.told(DisputeOpened)) <= 1, order


async def test_without_tickets_an_older_answer_would_win(till: Till) -> None:
    older = await till.report(disputes=(a_dispute(till),))
    newer = await till.report(disputes=(a_dispute(till, "won"),))
    assert await till.take(newer)
    assert not await till.take(older)
    assert (await subscription(till.owner))["payment_state"] == "ok"
    # The control: the same answer under a late number does what the ticket prevents.
    assert await till.take(replace(older, ticket=newer.ticket + 1000))
    assert (await subscription(till.owner))["payment_state"] == "disputed"


async def test_an_inquiry_that_becomes_a_dispute_is_told_twice(till: Till) -> None:
    for status in ("warning_needs_response", "warning_under_review", "needs_response"):
        await till.take(await till.report(disputes=(a_dispute(till, status),)))
    assert [fact.is_inquiry for fact in till.told(DisputeOpened)] == [True, False]  # type: ignore[attr-defined]
    assert (await subscription(till.owner))["payment_state"] == "disputed"


async def test_two_disputes_that_close_at_once_leave_no_flag(till: Till) -> None:
    both = (a_dispute(till), a_dispute(till, id="dp_2"))
    await till.take(await till.report(disputes=both))
    closing = [
        await till.report(disputes=(a_dispute(till, "won"),)),
        await till.report(disputes=(a_dispute(till, "won"), a_dispute(till, "won", id="dp_2"))),
    ]
    await asyncio.gather(*(till.take(report) for report in closing))
    assert (await subscription(till.owner))["payment_state"] == "ok"


async def test_a_missing_payment_is_shown_before_a_dispute(till: Till) -> None:
    await till.take(await till.report(disputes=(a_dispute(till),)))
    await till.shop.decline_from_now_on()
    await till.shop.advance(days=31, hours=2)
    after = await subscription(till.owner)
    assert (after["status"], after["payment_state"]) == ("past_due", "past_due")


async def test_the_policy_suspends_for_a_dispute_and_restores_after_it(
    suspending_till: Till,
) -> None:
    till = suspending_till

    async def suspended() -> bool:
        [row] = await till.shop.rows(
            "select is_suspended from organizations where id = :id",
            id=till.owner.organization_id,
        )
        return bool(row["is_suspended"])

    await till.take(await till.report(disputes=(a_dispute(till, "warning_needs_response"),)))
    assert not await suspended(), "a bank that asks has taken nothing"
    await till.take(await till.report(disputes=(a_dispute(till),)))
    assert await suspended()
    refused = await till.owner.client.post(
        "/api/v1/usage/events", json={"id": "1", "type": "api_call"}
    )
    assert refused.status_code == 403, refused.text
    assert (await subscription(till.owner))["payment_state"] == "disputed", "they may look and pay"
    again = await till.report(disputes=(a_dispute(till),))
    await till.take(again)
    await till.take(await till.report(disputes=(a_dispute(till, "won"),)))
    assert not await suspended()
    used = await till.owner.client.post(
        "/api/v1/usage/events", json={"id": "2", "type": "api_call"}
    )
    assert used.status_code == 201, used.text


async def test_whom_somebody_else_suspended_stays_suspended(suspending_till: Till) -> None:
    till = suspending_till
    organizations = till.shop.service.services[OrganizationService]
    await organizations.suspend(till.owner.organization_id, "abuse")
    await till.take(await till.report(disputes=(a_dispute(till),)))
    await till.take(await till.report(disputes=(a_dispute(till, "won"),)))
    assert (await organizations.get(till.owner.organization_id)).is_suspended
