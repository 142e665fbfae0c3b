"""Credit notes that are made at Stripe: on the invoice, on the statement, whatever comes when."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import URL

from app.doctor.domain import CheckState
from app.doctor.service import Doctor
from app.gateways.stripe.credit_notes import StripeCreditNote
from app.invoices.service.mirror import InvoiceMirror
from app.kernel.clock import ManualClock
from tests.factories.invoices import a_stripe_invoice
from tests.factories.people import Owner, an_owner
from tests.factories.subscriptions import call, subscribed
from tests.support.service import Service
from tests.support.stripe_account import Shop, a_shop
from tests.support.stripe_events import PATH
from tests.support.sums import added_up

KEY = {"Authorization": "Bearer sk_test_sandbox"}
YEAR = "from=2026-01-01&to=2028-01-01"


@pytest.fixture
async def shop(fresh_url: URL, clock: ManualClock) -> AsyncIterator[Shop]:
    async with a_shop(fresh_url, clock) as opened:
        yield opened


async def at_stripe(shop: Shop, path: str, **fields: Any) -> dict[str, Any]:
    answer = await shop.account.http.post(f"/v1/credit_notes{path}", data=fields, headers=KEY)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def hear(shop: Shop, *, twice: bool = False) -> None:
    """Only of the credit notes: what else Stripe sends is on its way still."""
    sent = await shop.account.collect()
    notes = [one for one in sent if json.loads(one[0])["type"].startswith("credit_note")]
    assert notes
    async with shop.service.client() as client:
        for body, headers in notes * (2 if twice else 1):
            assert (await client.post(PATH, content=body, headers=headers)).status_code == 200
    await shop.service.drain()


async def invoice_of(owner: Owner) -> dict[str, Any]:
    listed = (await call(owner, "GET", "invoices")).json()["data"]
    return dict((await call(owner, "GET", f"invoices/{listed[0]['id']}")).json())


async def sums_of(owner: Owner, invoice: dict[str, Any]) -> dict[str, str]:
    """What the invoice's table adds up to."""
    return added_up((await call(owner, "GET", f"invoices/{invoice['id']}/csv")).text)


async def account_of(owner: Owner) -> tuple[list[tuple[str, int]], int]:
    answer = await call(owner, "GET", f"statement?{YEAR}")
    (account,) = answer.json()["accounts"]
    book = account["account"]
    return [(line["kind"], line["amount"]) for line in book["lines"]], book["closing_balance"]


async def all_is_well(shop: Shop, owner: Owner) -> None:
    report = await shop.service.services[Doctor].examine(owner.organization_id)
    assert [one for one in report.findings if one.state is not CheckState.OK] == []


async def test_a_note_takes_off_what_is_asked_for_until_it_is_void(shop: Shop) -> None:
    owner = await subscribed(shop)
    await shop.decline_from_now_on()
    await shop.advance(days=31)
    await shop.advance(hours=2)
    before = await invoice_of(owner)
    assert (before["status"], before["amount_remaining"]) == ("open", 29_900)
    owed = (await account_of(owner))[1]
    note = await at_stripe(
        shop,
        "",
        **{
            "invoice": before["stripe_invoice_id"],
            "lines[0][type]": "invoice_line_item",
            "lines[0][invoice_line_item]": shop.account.find(
                "invoice", id=before["stripe_invoice_id"]
            )[0]["lines"]["data"][0]["id"],
            "lines[0][amount]": "900",
            "reason": "order_change",
        },
    )
    await hear(shop, twice=True)
    after = await invoice_of(owner)
    assert (after["total"], after["amount_due"], after["amount_remaining"]) == (
        29_900,
        29_000,
        29_000,
    )
    assert after["amount_credited"] == 900
    [shown] = after["credit_notes"]
    assert (shown["number"], shown["total"], shown["settlement"]) == (
        note["number"],
        900,
        "reduction",
    )
    assert (shown["kind"], shown["reason"], shown["voided_at"]) == (
        "correction",
        "Order change",
        None,
    )
    assert [(line["line"], line["net"]) for line in shown["lines"]] == [(0, 900)]
    [listed] = (await call(owner, "GET", "credit-notes")).json()["data"]
    assert listed == shown == (await call(owner, "GET", f"credit-notes/{shown['id']}")).json()
    page = await call(owner, "GET", f"credit-notes/{shown['id']}/html")
    assert note["number"] in page.text
    sums = await sums_of(owner, after)
    assert (sums["credit_notes"], sums["amount_due"]) == ("-9.00", "290.00")
    assert "customer_balance" not in sums
    lines, closing = await account_of(owner)
    assert (lines[-1], closing) == (("credit_note", -900), owed - 900)
    await all_is_well(shop, owner)

    shop.clock.advance(timedelta(hours=1))
    await at_stripe(shop, f"/{note['id']}/void")
    await hear(shop)
    again = await invoice_of(owner)
    assert (again["amount_due"], again["amount_remaining"]) == (29_900, 29_900)
    assert (again["amount_credited"], len(again["credit_notes"])) == (0, 1)
    assert again["credit_notes"][0]["voided_at"] is not None
    assert await account_of(owner) == ([*lines, ("credit_note_void", 900)], owed)
    await all_is_well(shop, owner)


async def test_a_note_for_all_that_is_left_pays_the_invoice_and_ends_the_trouble(
    shop: Shop,
) -> None:
    owner = await subscribed(shop)
    await shop.decline_from_now_on()
    await shop.advance(days=31)
    await shop.advance(hours=2)
    assert (await call(owner, "GET", "subscription")).json()["status"] == "past_due"
    asked = (await invoice_of(owner))["stripe_invoice_id"]
    await at_stripe(shop, "", invoice=asked, amount="29900", memo="For your patience")
    await hear(shop)
    after = await invoice_of(owner)
    assert (after["status"], after["amount_due"], after["amount_paid"]) == ("paid", 0, 0)
    [shown] = after["credit_notes"]
    assert (shown["kind"], shown["reason"]) == ("goodwill", "For your patience")
    assert [line["line"] for line in shown["lines"]] == [None]
    assert (await call(owner, "GET", "subscription")).json()["status"] == "active"
    await all_is_well(shop, owner)


async def test_what_was_paid_goes_back_each_way(shop: Shop) -> None:
    owner = await subscribed(shop)
    invoice = await invoice_of(owner)
    note = await at_stripe(
        shop,
        "",
        invoice=invoice["stripe_invoice_id"],
        amount="1000",
        refund_amount="500",
        credit_amount="300",
        out_of_band_amount="200",
    )
    await shop.deliver()
    after = await invoice_of(owner)
    assert (after["status"], after["amount_paid"], after["amount_due"]) == (
        "paid",
        29_900,
        29_900,
    )
    assert (after["amount_credited"], after["amount_refunded"]) == (1_000, 700)
    [shown] = after["credit_notes"]
    assert shown["settlement"] == "refund"
    assert (shown["refund"]["way"], shown["refund"]["status"]) == ("stripe", "made")
    assert shown["refund"]["reference"] == note["refunds"][0]["refund"]
    lines, closing = await account_of(owner)
    assert sorted(lines[2:]) == sorted(
        [
            ("credit_note", -1_000),
            ("to_customer_balance", 300),
            ("refund", 200),
            ("refund", 500),
        ]
    )
    assert closing == 0
    assert "credit_notes" not in await sums_of(owner, after), "it was paid as it was issued"
    await all_is_well(shop, owner)


def a_note(invoice_id: str, **changes: Any) -> StripeCreditNote:
    return replace(
        StripeCreditNote(
            id=f"cn_{invoice_id}",
            invoice_id=invoice_id,
            number="A1B2C3-0001-CN-01",
            reason=None,
            memo=None,
            currency="usd",
            total=900,
            tax=0,
            before_payment=900,
            after_payment=0,
            by_hand=0,
            refunds=(),
            lines=(),
            issued_at=a_stripe_invoice().created_at,
            voided_at=None,
        ),
        **changes,
    )


async def test_of_two_looks_that_differ_in_amounts_only_the_later_question_counts(
    service: Service,
) -> None:
    owner = await an_owner(service)
    mirror = service.services[InvoiceMirror]
    asked = a_stripe_invoice("open")
    less = replace(asked, amount_due=29_000, amount_remaining=29_000, credited_before=900)
    note = a_note(asked.id or "")
    void = replace(note, voided_at=note.issued_at + timedelta(hours=1))

    async def look(*told: Any, ticket: int, notes: tuple[StripeCreditNote, ...] = ()) -> Any:
        async with service.work.begin(owner.organization_id):
            for one in told:
                await mirror.record(owner.organization_id, one, ticket=ticket, notes=notes)
        return await invoice_of(owner)

    assert (await look(asked, ticket=5))["amount_due"] == 29_900
    assert (await look(less, ticket=7, notes=(note,)))["amount_due"] == 29_000
    # An answer that was long on its way, to a question from before the note.
    late = await look(asked, ticket=6)
    assert (late["amount_due"], late["amount_credited"]) == (29_000, 900)
    assert (await look(asked, ticket=8, notes=(void,)))["amount_due"] == 29_900
    # Nor does a note that is void come back.
    last = await look(less, ticket=7, notes=(note,))
    assert (last["amount_due"], last["amount_credited"]) == (29_900, 0)
