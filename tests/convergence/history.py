"""What happened at Stripe, stage by stage, and what it told of it.

A stage is the account as it was after something happened; the events of a stage are what Stripe
sends about it. Stripe answers with the newest stage there is, so who asks late sees late stages
only, and who asked early may hear of an early one late.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from app.gateways.stripe.errors import StripeMissing
from app.gateways.stripe.fake import FakeStripe
from app.gateways.stripe.gateway import (
    StripeCheckout,
    StripeInvoice,
    StripeSubscription,
)
from app.gateways.stripe.payments import RefundOrder, StripeCharge, StripeDispute, StripeRefund
from app.infra.db.unit_of_work import refuse_inside_unit
from app.kernel.clock import ManualClock
from app.kernel.periods import Period, plus_months
from app.webhooks.domain import PendingEvent
from tests.support.stripe_events import an_event, encoded

Objects = Mapping[str, Any]


@dataclass(frozen=True)
class Told:
    """An event, and the stage that it was sent at."""

    name: str
    kind: str
    object_id: str | None
    stage: int
    at: datetime
    body: str

    def pending(self) -> PendingEvent:
        return PendingEvent(self.name, self.kind, self.object_id, False, self.at, 1, self.body)


@dataclass
class History:
    """The stages of a story and its events, in the order in which they happened."""

    stages: list[Objects] = field(default_factory=list)
    events: list[Told] = field(default_factory=list)

    @property
    def last(self) -> int:
        return len(self.stages) - 1


class StagedStripe(FakeStripe):
    """An account that answers as it was at a given stage, once it is given a history.

    Successive questions are answered from successive entries of `asked_at`; the last one stays.
    With `pause`, who asks waits before and after the answer until somebody lets them go on.
    """

    history: History | None = None
    asked_at: tuple[int, ...] = (0,)
    answered: int = 0
    pause: Callable[[], Awaitable[None]] | None = None

    def at(self, *stages: int) -> None:
        self.asked_at, self.answered = stages, 0

    async def _look_up(self, object_id: str) -> Any:
        found = (await self._stage()).get(object_id)
        if self.pause is not None:
            await self.pause()
        if found is None:
            raise StripeMissing(parameter="id")
        return found

    async def _answer(self) -> Sequence[Any]:
        return list((await self._stage()).values())

    async def _stage(self) -> Objects:
        refuse_inside_unit()
        assert self.history is not None
        if self.pause is not None:
            await self.pause()
        stage = self.asked_at[min(self.answered, len(self.asked_at) - 1)]
        self.answered += 1
        return self.history.stages[stage]

    async def get_subscription(self, subscription_id: str) -> StripeSubscription:
        if self.history is None:
            return await super().get_subscription(subscription_id)
        return await self._look_up(subscription_id)

    async def get_invoice(self, invoice_id: str) -> StripeInvoice:
        if self.history is None:
            return await super().get_invoice(invoice_id)
        return await self._look_up(invoice_id)

    async def get_checkout(self, checkout_id: str) -> StripeCheckout:
        if self.history is None:
            return await super().get_checkout(checkout_id)
        return await self._look_up(checkout_id)

    # Payments ------------------------------------------------------------------------------

    async def get_charge(self, charge_id: str) -> StripeCharge:
        found: StripeCharge = await self._look_up(charge_id)
        return found

    async def get_refund(self, refund_id: str) -> StripeRefund:
        found: StripeRefund = await self._look_up(refund_id)
        return found

    async def get_dispute(self, dispute_id: str) -> StripeDispute:
        found: StripeDispute = await self._look_up(dispute_id)
        return found

    async def list_refunds(self, charge_id: str) -> tuple[StripeRefund, ...]:
        return tuple(one for one in await self._answer() if isinstance(one, StripeRefund))

    async def list_disputes(self, charge_id: str) -> tuple[StripeDispute, ...]:
        return tuple(one for one in await self._answer() if isinstance(one, StripeDispute))

    async def find_invoice_of(self, payment_intent_id: str) -> str | None:
        return None

    async def list_charges_of(self, invoice_id: str) -> tuple[str, ...]:
        return ()

    async def create_refund(self, order: RefundOrder, *, key: str) -> StripeRefund:
        raise StripeMissing(parameter="charge")


class Author:
    """Writes a history: changes the account, then says what Stripe tells of it."""

    def __init__(self, stripe: StagedStripe, clock: ManualClock, checkout_id: str) -> None:
        self.stripe = stripe
        self.clock = clock
        self.checkout_id = checkout_id
        self.history = History()
        self.subscription_id = ""
        self.money: dict[str, StripeCharge | StripeRefund | StripeDispute] = {}

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def later(self, **by: float) -> None:
        self.clock.advance(timedelta(**by))

    # The subscription ----------------------------------------------------------------------

    @property
    def subscription(self) -> StripeSubscription:
        return self.stripe.subscriptions[self.subscription_id]

    def pay(self) -> str:
        """The page is paid; returns the first invoice's id."""
        self.subscription_id = self.stripe.pay(self.checkout_id).id
        return next(reversed(self.stripe.invoices))

    def change(self, **fields: Any) -> None:
        self.stripe.subscriptions[self.subscription_id] = replace(self.subscription, **fields)

    def sell(self, price_id: str) -> None:
        """Another plan from now on."""
        price = self.stripe.prices[price_id]
        [item] = self.subscription.items
        self.change(items=(replace(item, price_id=price_id, unit_amount=price.unit_amount),))

    def turn(self, **fields: Any) -> None:
        """The next period begins."""
        items = tuple(
            replace(item, period=Period(item.period.end, plus_months(item.period.end, 1)))
            for item in self.subscription.items
            if item.period is not None
        )
        self.change(items=items, **fields)

    # Invoices ------------------------------------------------------------------------------

    def bill(self, reason: str, **fields: Any) -> str:
        """A new draft for what the subscription is now."""
        made = self.stripe.invoice(self.subscription, reason, "draft")
        assert made.id is not None
        self.stripe.invoices[made.id] = replace(
            made, attempt_count=0, finalized_at=None, number=None, **fields
        )
        return made.id

    def set_invoice(self, invoice_id: str, **fields: Any) -> None:
        self.stripe.invoices[invoice_id] = replace(self.stripe.invoices[invoice_id], **fields)

    def finalize(self, invoice_id: str) -> None:
        number = f"N-{invoice_id}"
        self.set_invoice(invoice_id, status="open", finalized_at=self.now, number=number)

    def fail(self, invoice_id: str, next_attempt_at: datetime | None = None) -> None:
        attempts = self.stripe.invoices[invoice_id].attempt_count + 1
        self.set_invoice(invoice_id, attempt_count=attempts, next_attempt_at=next_attempt_at)

    def collect(self, invoice_id: str) -> None:
        invoice = self.stripe.invoices[invoice_id]
        self.set_invoice(
            invoice_id,
            status="paid",
            paid_at=self.now,
            amount_paid=invoice.amount_due,
            amount_remaining=0,
            attempt_count=invoice.attempt_count + 1,
            next_attempt_at=None,
        )

    # Money ---------------------------------------------------------------------------------

    def charge(self, **fields: Any) -> None:
        """The one charge, as it is now."""
        before = self.money.get("ch_1") or StripeCharge(
            id="ch_1",
            customer_id=self.subscription.customer_id,
            payment_intent_id="pi_1",
            amount=29900,
            amount_refunded=0,
            currency="usd",
            status="succeeded",
            is_disputed=False,
            description=None,
            failure_code=None,
            failure_message=None,
            created_at=self.now,
            livemode=False,
        )
        self.money["ch_1"] = replace(before, **fields)

    def refund(self, status: str, amount: int) -> None:
        first = self.money.get("re_1")
        at = first.created_at if first else self.now
        self.money["re_1"] = StripeRefund("re_1", "ch_1", amount, "usd", status, None, None, at)

    def dispute(self, status: str) -> None:
        first = self.money.get("dp_1")
        at = first.created_at if first else self.now
        is_inquiry = status.startswith("warning_")
        self.money["dp_1"] = StripeDispute(
            "dp_1", "ch_1", 29900, "usd", "fraudulent", status, is_inquiry, None, at
        )

    # Telling -------------------------------------------------------------------------------

    def tell(self, *events: str | tuple[str, str | None], **data: Any) -> None:
        """A stage is reached, and Stripe sends these: of the subscription, or of what is named."""
        self.history.stages.append(
            {
                **self.stripe.subscriptions,
                **self.stripe.invoices,
                **self.stripe.checkouts,
                **self.money,
            }
        )
        for event in events:
            kind, object_id = (event, self.subscription_id) if isinstance(event, str) else event
            named = {"id": object_id, **data}
            body = encoded(an_event(kind, named, self.now, data={"object": named})).decode()
            number = len(self.history.events)
            told = Told(f"evt_{number}", kind, object_id, self.history.last, self.now, body)
            self.history.events.append(told)
