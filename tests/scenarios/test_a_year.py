"""A customer's first year, told by the account's clock: what was billed, and what they could use."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from app.payments.invariants import INVARIANTS as PAYMENTS
from app.recovery.invariants import INVARIANTS as RECOVERY
from app.subscriptions.invariants import INVARIANTS as SUBSCRIPTIONS
from tests.factories.operators import an_operator
from tests.factories.people import Owner, an_owner
from tests.factories.subscriptions import ask, checkout, subscription
from tests.support.stripe_account import Shop

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def on(year: int, month: int, day: int, hour: int = 9) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


class Year:
    """The shop and its customer, moved from date to date."""

    def __init__(self, shop: Shop, owner: Owner) -> None:
        self.shop = shop
        self.owner = owner

    async def go(self, to: datetime) -> dict[str, Any]:
        """Everything that happens until *to* happens; answers what the customer holds then."""
        self.shop.clock.set(to)
        await self.shop.account.control("clock/advance", seconds=0)
        await self.shop.deliver()
        return await subscription(self.owner)

    async def must(self, verb: str, **body: Any) -> dict[str, Any]:
        answer = await ask(self.owner, verb, **body)
        assert answer.status_code == 200, answer.text
        await self.shop.deliver()
        return dict(answer.json())

    async def bills(self) -> list[tuple[str, str, int, str]]:
        """Every invoice that is kept here: day, reason, amount, state."""
        rows = await self.shop.rows(
            "select created_at, billing_reason, amount_due, status from invoices"
            " order by created_at, id"
        )
        return [
            (f"{row['created_at']:%Y-%m-%d}", row["billing_reason"], row["amount_due"],
             row["status"]) for row in rows
        ]  # fmt: skip

    async def plans(self) -> list[tuple[str, str]]:
        """Each change of what was granted, by the audit log: instant and plan."""
        rows = await self.shop.rows(
            "select occurred_at, before ->> 'plan' as before, after ->> 'plan' as after"
            " from audit_entries where action = 'organizations.entitlements_changed' order by id"
        )
        return [
            (f"{row['occurred_at']:%Y-%m-%d}", row["after"])
            for row in rows
            if row["before"] != row["after"]
        ]


def prorated(less: int, more: int, at: datetime, since: datetime, until: datetime) -> int:
    """What an upgrade bills at once: the rest of the period at the new price, less the old."""
    left = (until - at).total_seconds() / (until - since).total_seconds()
    return round(more * left) - round(less * left)


async def test_a_year(shop: Shop) -> None:
    started = time.perf_counter()
    year = Year(shop, await an_owner(shop.service))
    operator_reads = f"/api/v1/admin/organizations/{year.owner.id}/recovery"

    # A trial, whose end is announced, and the first payment.
    page = await checkout(year.owner, trial_days=14)
    await shop.account.click(page["url"])
    await shop.deliver()
    trial = await subscription(year.owner)
    assert (trial["tier"], trial["status"]) == ("professional", "trialing")
    await year.go(on(2026, 12, 2, 10))
    assert await shop.rows("select 1 from notices where kind = 'trial_ending'"), "three days before"
    first = await year.go(on(2026, 12, 5, 11))
    assert (first["status"], first["current_period_end"]) == ("active", "2027-01-05T09:00:00Z")

    # Up in mid-period: billed at once by the second, and paid before it counts.
    await year.go(on(2026, 12, 20, 9))
    upgraded = await year.must("change", plan="enterprise")
    assert (upgraded["outcome"], upgraded["tier"]) == ("applied", "enterprise")
    assert (await year.go(on(2027, 1, 5, 11)))["tier"] == "enterprise"

    # A renewal that fails to the end of the grace, and is paid on the page of its invoice.
    await shop.decline_from_now_on("insufficient_funds")
    owed = await year.go(on(2027, 2, 5, 11))
    failed_at = on(2027, 2, 5, 10)
    until = failed_at + 10 * DAY
    assert (owed["tier"], owed["payment_state"]) == ("enterprise", "past_due")
    assert owed["grace_until"] == until.isoformat().replace("+00:00", "Z")
    assert (await year.go(until - timedelta(seconds=1)))["tier"] == "enterprise"
    lapsed = await year.go(until)
    assert (lapsed["tier"], lapsed["plan"]) == ("free", "enterprise")
    await shop.decline_from_now_on(None)
    assert lapsed["pay_url"]
    await shop.account.click(lapsed["pay_url"])
    await shop.deliver()
    back = await subscription(year.owner)
    assert (back["tier"], back["payment_state"], back["pay_url"]) == ("enterprise", "ok", None)
    seen = (await (await an_operator(shop.service)).get(operator_reads)).json()
    assert (seen["state"], [case["outcome"] for case in seen["cases"]]) == ("clear", ["recovered"])

    # A dispute is shown, takes no access, and is won.
    await year.go(on(2027, 3, 5, 11))
    charge = max(shop.account.find("charge", paid=True), key=lambda one: one["created"])
    dispute = await shop.account.control("disputes", charge=charge["id"], reason="fraudulent")
    await shop.deliver()
    disputed = await subscription(year.owner)
    assert (disputed["tier"], disputed["payment_state"]) == ("enterprise", "disputed")
    await shop.account.control(f"disputes/{dispute['id']}", status="won")
    await shop.deliver()
    assert (await subscription(year.owner))["payment_state"] == "ok"

    # Down at the end of the period.
    await year.go(on(2027, 3, 20))
    assert (await year.must("change", plan="starter"))["outcome"] == "scheduled"
    assert (await year.go(on(2027, 4, 5, 8)))["tier"] == "enterprise"
    down = await year.go(on(2027, 4, 5, 11))
    assert (down["tier"], down["amount"], down["pending_change"]) == ("starter", 9900, None)

    # Out at the end of the period.
    await year.go(on(2027, 5, 20))
    await year.must("cancel", reason="summer")
    assert (await year.go(on(2027, 6, 5, 8)))["tier"] == "starter"
    ended = await year.go(on(2027, 6, 5, 10))
    assert (ended["tier"], ended["status"]) == ("free", "canceled")

    # And back: the same customer, and no second trial.
    await year.go(on(2027, 7, 10))
    page = await checkout(year.owner, "starter", trial_days=14)
    await shop.account.click(page["url"])
    await shop.deliver()
    returned = await subscription(year.owner)
    assert (returned["tier"], returned["status"], returned["trial_end"]) == (
        "starter",
        "active",
        None,
    )
    assert len(shop.account.find("customer")) == 1
    for month in (8, 9, 10, 11):
        assert (await year.go(on(2027, month, 10, 11)))["tier"] == "starter"

    upgrade = prorated(29900, 99900, on(2026, 12, 20), on(2026, 12, 5), on(2027, 1, 5))
    cycle = "subscription_cycle"
    assert await year.bills() == [
        ("2026-11-21", "subscription_create", 0, "paid"),
        ("2026-12-05", cycle, 29900, "paid"),
        ("2026-12-20", "subscription_update", upgrade, "paid"),
        ("2027-01-05", cycle, 99900, "paid"),
        ("2027-02-05", cycle, 99900, "paid"),
        ("2027-03-05", cycle, 99900, "paid"),
        ("2027-04-05", cycle, 9900, "paid"),
        ("2027-05-05", cycle, 9900, "paid"),
        ("2027-07-10", "subscription_create", 9900, "paid"),
        *((f"2027-{month:02}-10", cycle, 9900, "paid") for month in (8, 9, 10, 11)),
    ]
    assert await year.plans() == [
        ("2026-11-21", "professional"),
        ("2026-12-20", "enterprise"),
        ("2027-02-15", "free"),
        ("2027-02-15", "enterprise"),
        ("2027-04-05", "starter"),
        ("2027-06-05", "free"),
        ("2027-07-10", "starter"),
    ]
    opened = await shop.rows("select count(*) as n from paid_periods")
    assert opened[0]["n"] == 12, "a fresh quota for each period that was paid, the trial included"
    stuck = "select type, note from stripe_events where state in ('pending', 'dead')"
    assert await shop.rows(stuck) == []
    for name, (sentence, query) in {**PAYMENTS, **RECOVERY, **SUBSCRIPTIONS}.items():
        values = {"organization_id": None, "now": shop.clock.now()}
        assert await shop.rows(query, **values) == [], (name, sentence)
    assert time.perf_counter() - started < 60
