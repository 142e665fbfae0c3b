"""Whatever people do in whatever order, the account stays in one piece."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import stripe

from app.sandbox.billing import standing
from app.sandbox.core.sandbox import public
from tests.sandbox.conftest import Account
from tests.support import stripe_contract as contract

PRICES = ["price_starter", "price_pro", "price_pro_year"]
CARDS = ["pm_card_visa", "pm_card_visa", "pm_card_chargeCustomerFail",
         "pm_card_authenticationRequired", "pm_usBankAccount_success",
         "pm_usBankAccount_insufficientFunds"]  # fmt: skip
CLICKS = ["pay", "pay", "decline", "abandon", "challenge", "delayed", "delayed_fails", "expire"]
Deed = Callable[[Any], Awaitable[object]]


class Life:
    """A random customer, who may be refused but never with a 5xx."""

    def __init__(self, account: Account, dice: random.Random) -> None:
        self.account, self.dice = account, dice
        self.v1 = account.stripe.v1
        self.done: Counter[str] = Counter()

    async def act(self) -> None:
        deed = self.dice.choice(
            [
                self.subscribe,
                self.check_out,
                self.change,
                self.change,
                self.plan_end,
                self.schedule,
                self.cancel,
                self.break_card,
                self.new_card,
                self.pay,
                self.refund,
                self.trial,
                self.pause,
                self.resume,
                self.hold,
                self.confirm,
                self.bill,
                self.use,
                self.settle,
                self.wait,
                self.wait,
                self.wait,
            ]
        )
        try:
            await deed()
            self.done[deed.__name__] += 1
        except stripe.StripeError as refused:
            assert refused.http_status is not None
            assert refused.http_status < 500, refused
            self.done["refused"] += 1

    async def one(self) -> Any:
        found = await self.v1.subscriptions.list_async({"status": "all", "limit": 100})
        return self.dice.choice(found.data)

    async def subscribe(self) -> None:
        behavior = self.dice.choice(["allow_incomplete", "error_if_incomplete"])
        card = self.dice.choice(CARDS)
        customer = await self.account.customer(card=card)
        more: Any = {"trial_period_days": 5} if self.dice.random() < 0.3 else {}
        await self.account.subscription(
            self.dice.choice(PRICES), customer=customer.id, payment_behavior=behavior, **more
        )

    async def check_out(self) -> None:
        session = await self.account.checkout(
            self.dice.choice(PRICES), customer_email="b@example.com"
        )
        for action in self.dice.sample(CLICKS, 2):
            answer = await self.account.http.post(session.url, data={"action": action})
            assert answer.status_code < 500

    async def change(self) -> None:
        subscription = await self.one()
        item = self.dice.choice(subscription["items"].data)
        params: Any = {
            "items": [
                {
                    "id": item.id,
                    "price": self.dice.choice(PRICES),
                    "quantity": self.dice.randint(1, 3),
                }
            ],
            "proration_behavior": self.dice.choice(["none", "create_prorations", "always_invoice"]),
            "payment_behavior": self.dice.choice(
                ["allow_incomplete", "pending_if_incomplete", "error_if_incomplete"]
            ),
        }
        if self.dice.random() < 0.3:
            params["items"].append({"price": "price_tokens"})
        details = {key: params[key] for key in ("items", "proration_behavior")}
        preview: Any = {"subscription": subscription.id, "subscription_details": details}
        await self.v1.invoices.create_preview_async(preview)
        await self.v1.subscriptions.update_async(subscription.id, params)

    async def plan_end(self) -> None:
        subscription = await self.one()
        params: Any = self.dice.choice(
            [
                {"cancel_at_period_end": True},
                {"cancel_at_period_end": False},
                {"cancel_at": ""},
                {"cancel_at": "max_period_end"},
            ]
        )
        await self.v1.subscriptions.update_async(subscription.id, params)

    async def schedule(self) -> None:
        subscription = await self.one()
        if subscription.schedule and self.dice.random() < 0.5:
            await self.v1.subscription_schedules.release_async(subscription.schedule)
            return
        made = await self.v1.subscription_schedules.create_async(
            {"from_subscription": subscription.id}
        )
        now = made.phases[0].to_dict(for_json=True)
        items = [{key: item[key] for key in ("price", "quantity") if key in item}
                 for item in now["items"]]  # fmt: skip
        phases: Any = [
            {"items": items, "start_date": now["start_date"], "end_date": now["end_date"]},
            {"items": [{"price": self.dice.choice(PRICES), "quantity": 1}]},
        ]
        await self.v1.subscription_schedules.update_async(
            made.id,
            {"phases": phases, "end_behavior": self.dice.choice(["release", "cancel"])},
        )

    async def cancel(self) -> None:
        if self.dice.random() < 0.3:
            await self.v1.subscriptions.cancel_async((await self.one()).id, {"invoice_now": True})

    async def break_card(self) -> None:
        method = self.dice.choice((await self.v1.payment_methods.list_async()).data)
        await self.account.control(f"payment_methods/{method.id}", decline_code="generic_decline")

    async def pause(self) -> None:
        params: Any = {
            "invoicing_behavior": self.dice.choice(["invoice", "pending_invoice_item"]),
            "bill_for": {"unused_time_from": {"type": self.dice.choice(["now", "none"])}},
        }
        await self.v1.subscriptions.pause_async((await self.one()).id, params)

    async def resume(self) -> None:
        params: Any = {
            "billing_cycle_anchor": {"type": self.dice.choice(["now", "unchanged"])},
            "payment_behavior": self.dice.choice(
                ["resume_on_payment_attempt", "resume_on_payment_success"]
            ),
            "proration_behavior": self.dice.choice(["none", "create_prorations", "always_invoice"]),
        }
        paused = await self.v1.subscriptions.list_async({"status": "paused"})
        await self.v1.subscriptions.resume_async(self.dice.choice(paused.data).id, params)

    async def hold(self) -> None:
        held: Any = self.dice.choice(
            ["", *({"behavior": one} for one in ("void", "keep_as_draft", "mark_uncollectible"))]
        )
        subscription = await self.one()
        await self.v1.subscriptions.update_async(subscription.id, {"pause_collection": held})

    async def confirm(self) -> None:
        """Somebody answers for the bank, in whatever state the payment is."""
        intents = (await self.v1.payment_intents.list_async({"limit": 100})).data
        waiting = [one.id for one in intents if one.status == "requires_action"]
        page = f"/3ds/{self.dice.choice(waiting)}"
        action = self.dice.choice(["confirm", "confirm", "fail"])
        answer = await self.account.http.post(page, data={"action": action})
        assert answer.status_code < 500

    async def bill(self) -> None:
        customer = self.dice.choice((await self.v1.customers.list_async()).data).id
        await self.v1.invoice_items.create_async(
            {"customer": customer, "amount": self.dice.randint(-900, 5_000), "currency": "usd"}
        )
        if self.dice.random() < 0.5:
            made = await self.v1.invoices.create_async(
                {
                    "customer": customer,
                    "auto_advance": True,
                    "pending_invoice_items_behavior": "include",
                }
            )
            if self.dice.random() < 0.3:
                await self.v1.invoices.finalize_invoice_async(str(made.id))
                await self.v1.invoices.mark_uncollectible_async(str(made.id))

    async def use(self) -> None:
        customer = self.dice.choice((await self.v1.customers.list_async()).data).id
        now = (await self.account.http.get("/_sandbox/clock")).json()["now"]
        await self.v1.billing.meter_events.create_async(
            {
                "event_name": "tokens",
                "payload": {"stripe_customer_id": customer, "value": "100000"},
                "timestamp": now,
            }
        )

    async def settle(self) -> None:
        fate = self.dice.choice(["cancel", "unpaid", "past_due", "pause"])
        await self.account.control(
            "settings", after_retries=fate, pause_on_first_failure=self.dice.random() < 0.2
        )

    async def new_card(self) -> None:
        customer = self.dice.choice((await self.v1.customers.list_async()).data).id
        method = await self.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer})
        await self.v1.customers.update_async(
            customer, {"invoice_settings": {"default_payment_method": method.id}}
        )

    async def pay(self) -> None:
        invoice = self.dice.choice((await self.v1.invoices.list_async({"status": "open"})).data)
        if self.dice.random() < 0.2:
            await self.v1.invoices.void_invoice_async(str(invoice.id))
        else:
            await self.v1.invoices.pay_async(str(invoice.id), {"payment_method": "pm_card_visa"})

    async def refund(self) -> None:
        charge = self.dice.choice((await self.v1.charges.list_async()).data)
        await self.v1.refunds.create_async({"charge": charge.id, "amount": 500})

    async def trial(self) -> None:
        subscription = await self.one()
        told: Any = self.dice.choice(
            ["now", (await self.account.http.get("/_sandbox/clock")).json()["now"] + 9 * 86_400]
        )
        await self.v1.subscriptions.update_async(subscription.id, {"trial_end": told})

    async def wait(self) -> None:
        await self.account.advance(
            seconds=self.dice.choice([3600, 86_400, 8 * 86_400, 35 * 86_400])
        )


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_random_life_leaves_a_sound_account(
    account: Account, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    life = Life(account, random.Random(seed))
    await account.subscription()
    for _ in range(60):
        try:
            await life.act()
        except IndexError:
            continue  # there was nothing to choose from
    assert len(life.done) >= 8, life.done
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    sandbox = account.app.state.sandbox
    with sandbox.unit():
        problems = [
            p for kind in _CHECKS for doc in sandbox.all(kind) for p in _CHECKS[kind](sandbox, doc)
        ]
        assert problems == []
        if contract.SPEC.exists():
            for kind in ("subscription", "invoice", "subscription_schedule", "charge"):
                for doc in sandbox.all(kind):
                    assert contract.response_problems(public(doc)) == []


def _invoice(sandbox: Any, invoice: Any) -> list[str]:
    lines = invoice["lines"]["data"]
    off = sum(one["amount"] for one in invoice["total_discount_amounts"])
    off_stripe = invoice["amount_paid_off_stripe"]
    paid = off_stripe + sum(
        sandbox.get("charge", sandbox.get("payment_intent", p["payment"]["payment_intent"])["latest_charge"])["amount"]
        for p in sandbox.all("invoice_payment", invoice=invoice["id"])
        if p["status"] == "paid"
    )  # fmt: skip
    checks = {
        "lines": sum(line["amount"] for line in lines) == invoice["subtotal"],
        "total": invoice["subtotal"] - off == invoice["total"],
        "due": 0 <= invoice["amount_due"] <= max(invoice["total"], 0),
        "money": paid in (0, invoice["amount_due"]),
        "paid": invoice["status"] != "paid"
        or (paid == invoice["amount_due"] == invoice["amount_paid"]),
        "number": (invoice["number"] is None) == (invoice["status"] == "draft"),
        "has lines": bool(lines) or invoice["billing_reason"] == "manual",
    }
    return [f"{invoice['id']} {name}" for name, holds in checks.items() if not holds]


def _subscription(sandbox: Any, subscription: Any) -> list[str]:
    now = sandbox.now()
    alarm = sandbox.store.row("SELECT due FROM alarms WHERE id = ?", subscription["id"])
    ended = subscription["status"] in standing.TERMINAL
    going = subscription["status"] in ("active", "trialing", "past_due", "unpaid")
    items = subscription["items"]["data"]
    checks = {
        "no alarm": (alarm is None) == ended or subscription["status"] == "paused",
        "late": alarm is None or alarm["due"] > now,
        "period": not going
        or all(i["current_period_start"] <= now < i["current_period_end"] for i in items),
        "ended": ended == (subscription["ended_at"] is not None),
        "pending": ("_pending" in subscription) == (subscription["pending_update"] is not None),
        "invoice": sandbox.find("invoice", subscription["latest_invoice"]) is not None,
    }
    return [
        f"{subscription['id']} {subscription['status']} {name}"
        for name, holds in checks.items()
        if not holds
    ]


def _customer(sandbox: Any, customer: Any) -> list[str]:
    invoices = [i for i in sandbox.all("invoice", customer=customer["id"]) if i["number"]]
    numbers = sorted(int(invoice["number"][-4:]) for invoice in invoices)
    return [] if numbers == list(range(1, len(numbers) + 1)) else [f"{customer['id']} numbers"]


_CHECKS: dict[str, Callable[[Any, Any], list[str]]] = {
    "invoice": _invoice,
    "subscription": _subscription,
    "customer": _customer,
}
