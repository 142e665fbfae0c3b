"""Stripe in memory, for tests of what asks it: deterministic, and it remembers keys as Stripe does.

It knows just enough of Stripe's rules to answer the gateway's questions. The bundled sandbox is
the believable account, with pages, events and time; one suite of tests holds both to the same
answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from app.gateways.stripe.errors import StripeKeyReused, StripeMissing, StripeRefused
from app.gateways.stripe.gateway import (
    CheckoutOrder,
    CustomerDetails,
    ItemChange,
    OrderedPrice,
    StripeCard,
    StripeCheckout,
    StripeCustomer,
    StripeInvoice,
    StripeInvoiceLine,
    StripeItem,
    StripePaymentMethod,
    StripePendingUpdate,
    StripePhase,
    StripeSchedule,
    StripeSubscription,
)
from app.infra.db.unit_of_work import refuse_inside_unit
from app.kernel.clock import Clock
from app.kernel.periods import Period, plus_months

T = TypeVar("T")

_PAGE_LIFETIME = timedelta(hours=24)
_UPDATE_LIFETIME = timedelta(hours=23)
_ENDED = frozenset({"canceled", "incomplete_expired"})


@dataclass(frozen=True, slots=True)
class FakePrice:
    """A price of the account; a metered one bills nothing by itself."""

    unit_amount: int
    interval: str = "month"
    is_metered: bool = False
    currency: str = "usd"


@dataclass
class FakeStripe:
    """An account in memory. What its customers and time would do are the methods at the end."""

    clock: Clock
    prices: Mapping[str, FakePrice]
    promotion_codes: dict[str, str] = field(default_factory=dict)
    cards_decline: bool = False
    calls: list[str] = field(default_factory=list)
    customers: dict[str, StripeCustomer] = field(default_factory=dict)
    checkouts: dict[str, StripeCheckout] = field(default_factory=dict)
    subscriptions: dict[str, StripeSubscription] = field(default_factory=dict)
    invoices: dict[str, StripeInvoice] = field(default_factory=dict)
    _orders: dict[str, CheckoutOrder] = field(default_factory=dict)
    _answers: dict[str, tuple[object, object]] = field(default_factory=dict)
    _numbers: int = 0

    def require_configured(self) -> None:
        return None

    async def create_customer(self, details: CustomerDetails, *, key: str) -> str:
        self._called("create_customer")

        def make() -> str:
            customer_id = self._id("cus")
            self.customers[customer_id] = StripeCustomer(customer_id, False, None, False)
            return customer_id

        return self._once(key, details, make)

    async def get_customer(self, customer_id: str) -> StripeCustomer:
        self._called("get_customer")
        return self._get(self.customers, customer_id, "id")

    async def create_checkout(self, order: CheckoutOrder, *, key: str) -> StripeCheckout:
        self._called("create_checkout")

        def make() -> StripeCheckout:
            if self._get(self.customers, order.customer_id, "customer").is_deleted:
                raise StripeMissing(parameter="customer")
            for price in order.prices:
                self._get(self.prices, price.price_id, "line_items[0][price]")
            checkout_id = self._id("cs")
            checkout = StripeCheckout(
                id=checkout_id,
                url=f"https://checkout.stripe.test/{checkout_id}",
                status="open",
                payment_status="unpaid",
                customer_id=order.customer_id,
                subscription_id=None,
                expires_at=self.clock.now() + _PAGE_LIFETIME,
                metadata=dict(order.metadata),
                livemode=False,
            )
            self.checkouts[checkout_id], self._orders[checkout_id] = checkout, order
            return checkout

        return self._once(key, order, make)

    async def get_checkout(self, checkout_id: str) -> StripeCheckout:
        self._called("get_checkout")
        checkout = self._get(self.checkouts, checkout_id, "id")
        if checkout.is_open and checkout.expires_at <= self.clock.now():
            return self._expire(checkout)
        return checkout

    async def expire_checkout(self, checkout_id: str) -> StripeCheckout:
        self._called("expire_checkout")
        checkout = self._get(self.checkouts, checkout_id, "id")
        if not checkout.is_open:
            raise StripeRefused
        return self._expire(checkout)

    async def create_portal(self, customer_id: str, *, return_url: str) -> str:
        self._called("create_portal")
        if self._get(self.customers, customer_id, "customer").is_deleted:
            raise StripeMissing(parameter="customer")
        return f"https://portal.stripe.test/{self._id('bps')}"

    async def get_subscription(self, subscription_id: str) -> StripeSubscription:
        self._called("get_subscription")
        return self._get(self.subscriptions, subscription_id, "id")

    async def change_items(
        self, subscription_id: str, changes: tuple[ItemChange, ...], *, is_billed: bool, key: str
    ) -> StripeSubscription:
        self._called("change_items")

        def make() -> StripeSubscription:
            before = self._running(subscription_id)
            items = self._changed(before, changes)
            if is_billed and self.cards_decline:
                prices = tuple(item.price_id for item in items)
                update = StripePendingUpdate(prices, self.clock.now() + _UPDATE_LIFETIME)
                url = f"https://invoice.stripe.test/{self._id('in')}"
                return self._put(replace(before, pending_update=update, open_invoice_url=url))
            return self._put(replace(before, items=items, pending_update=None))

        return self._once(key, (subscription_id, changes, is_billed), make)

    async def schedule_items(
        self, subscription: StripeSubscription, next_prices: tuple[OrderedPrice, ...], *, key: str
    ) -> StripeSubscription:
        self._called("schedule_items")

        def make() -> StripeSubscription:
            before = self._running(subscription.id)
            period = before.period
            if before.schedule is not None or period is None:
                raise StripeRefused
            now = tuple(item.price_id for item in before.items)
            after = tuple(price.price_id for price in next_prices)
            phases = (
                StripePhase(now, period.start, period.end),
                StripePhase(after, period.end, plus_months(period.end, 1)),
            )
            schedule = StripeSchedule(self._id("sub_sched"), "active", phases)
            return self._put(replace(before, schedule=schedule))

        return self._once(key, (subscription.id, next_prices), make)

    async def release_schedule(self, schedule_id: str, *, key: str) -> None:
        self._called("release_schedule")
        for subscription in list(self.subscriptions.values()):
            if subscription.schedule is not None and subscription.schedule.id == schedule_id:
                self._put(replace(subscription, schedule=None))
                return
        raise StripeMissing(parameter="schedule")

    async def cancel_at_period_end(
        self, subscription_id: str, *, comment: str | None, key: str
    ) -> StripeSubscription:
        self._called("cancel_at_period_end")
        now, before = self.clock.now(), self._running(subscription_id)
        end = before.period.end if before.period else None
        return self._put(replace(before, cancel_at_period_end=True, cancel_at=end, canceled_at=now))

    async def cancel_now(
        self, subscription_id: str, *, comment: str | None, key: str
    ) -> StripeSubscription:
        self._called("cancel_now")
        now = self.clock.now()
        before = self._running(subscription_id)
        return self._put(replace(before, status="canceled", canceled_at=now, ended_at=now))

    async def undo_cancellation(
        self, subscription: StripeSubscription, *, key: str
    ) -> StripeSubscription:
        self._called("undo_cancellation")
        before = self._running(subscription.id)
        return self._put(
            replace(before, cancel_at_period_end=False, cancel_at=None, canceled_at=None)
        )

    async def resume_paused(self, subscription_id: str, *, key: str) -> StripeSubscription:
        self._called("resume_paused")
        before = self._running(subscription_id)
        if before.status != "paused":
            raise StripeRefused
        return self._put(before if self.cards_decline else replace(before, status="active"))

    async def resume_collection(self, subscription_id: str, *, key: str) -> StripeSubscription:
        self._called("resume_collection")
        return self._put(replace(self._running(subscription_id), pause=None))

    async def preview(
        self,
        subscription_id: str,
        changes: tuple[ItemChange, ...] = (),
        *,
        is_billed: bool = False,
    ) -> StripeInvoice:
        self._called("preview")
        before = self._running(subscription_id)
        after = replace(before, items=self._changed(before, changes))
        return replace(self._invoice(after, "upcoming", "draft"), id=None)

    async def get_invoice(self, invoice_id: str) -> StripeInvoice:
        self._called("get_invoice")
        return self._get(self.invoices, invoice_id, "id")

    async def list_payment_methods(self, customer_id: str) -> tuple[StripePaymentMethod, ...]:
        self._called("list_payment_methods")
        customer = self._get(self.customers, customer_id, "customer")
        if customer.default_payment_method_id is None:
            return ()
        card = StripeCard("visa", "4242", 12, 2034)
        return (
            StripePaymentMethod(customer.default_payment_method_id, "card", card, self.clock.now()),
        )

    async def find_promotion_code(self, code: str) -> str | None:
        self._called("find_promotion_code")
        return self.promotion_codes.get(code)

    # What customers and time do ----------------------------------------------------------

    def pay(self, checkout_id: str) -> StripeSubscription:
        """The customer pays on the page: a subscription, and its first invoice, paid."""
        checkout, order = self.checkouts[checkout_id], self._orders[checkout_id]
        now = self.clock.now()
        trial_end = now + timedelta(days=order.trial_days) if order.trial_days else None
        prices = {line.price_id: self.prices[line.price_id] for line in order.prices}
        interval = next(iter(prices.values())).interval
        end = trial_end or plus_months(now, 12 if interval == "year" else 1)
        method = self._id("pm")
        customer = self.customers[order.customer_id]
        self.customers[customer.id] = replace(customer, default_payment_method_id=method)
        subscription = StripeSubscription(
            id=self._id("sub"),
            customer_id=order.customer_id,
            status="trialing" if trial_end else "active",
            currency="usd",
            items=tuple(
                self._item(line.price_id, Period(now, end), line.quantity) for line in order.prices
            ),
            created_at=now,
            started_at=now,
            cancel_at=None,
            cancel_at_period_end=False,
            canceled_at=None,
            ended_at=None,
            trial_start=now if trial_end else None,
            trial_end=trial_end,
            pending_update=None,
            schedule=None,
            latest_invoice_id=None,
            open_invoice_url=None,
            default_payment_method_id=method,
            metadata=dict(order.metadata),
            livemode=False,
        )
        self.invoice(subscription, "subscription_create", "paid", is_free=trial_end is not None)
        self.checkouts[checkout_id] = replace(
            checkout,
            status="complete",
            url=None,
            payment_status="no_payment_required" if trial_end else "paid",
            subscription_id=subscription.id,
        )
        return self._put(subscription)

    def renew(self, subscription_id: str, *, is_paid: bool = True) -> StripeInvoice:
        """The next period begins and is invoiced; unpaid, the subscription is past due."""
        before = self.subscriptions[subscription_id]
        items = tuple(
            replace(item, period=Period(item.period.end, plus_months(item.period.end, 1)))
            for item in before.items
            if item.period is not None
        )
        after = replace(before, items=items, status="active" if is_paid else "past_due")
        self._put(after)
        return self.invoice(after, "subscription_cycle", "paid" if is_paid else "open")

    def settle(self, invoice_id: str) -> None:
        """An open invoice is paid after all."""
        invoice = self.invoices[invoice_id]
        paid = replace(invoice, status="paid", amount_paid=invoice.total, amount_remaining=0)
        self.invoices[invoice_id] = replace(paid, paid_at=self.clock.now())
        subscription = self.subscriptions[invoice.subscription_id or ""]
        self._put(replace(subscription, status="active"))

    def invoice(
        self,
        subscription: StripeSubscription,
        reason: str,
        status: str,
        *,
        is_free: bool = False,
    ) -> StripeInvoice:
        """Issue an invoice for the current period."""
        invoice = self._invoice(subscription, reason, status, is_free=is_free)
        self.invoices[invoice.id or ""] = invoice
        return invoice

    # ---------------------------------------------------------------------------------------

    def _called(self, name: str) -> None:
        refuse_inside_unit()
        self.calls.append(name)

    def _id(self, prefix: str) -> str:
        self._numbers += 1
        return f"{prefix}_{self._numbers:06}"

    def _once(self, key: str, asked: object, make: Callable[[], T]) -> T:
        """The first answer to *key* for ever; the same key for something else is refused."""
        if key not in self._answers:
            self._answers[key] = asked, make()
        first, answer = self._answers[key]
        if first != asked:
            raise StripeKeyReused
        return answer  # type: ignore[return-value]

    def _get(self, among: Mapping[str, T], key: str, parameter: str) -> T:
        found = among.get(key)
        if found is None:
            raise StripeMissing(parameter=parameter)
        return found

    def _put(self, subscription: StripeSubscription) -> StripeSubscription:
        self.subscriptions[subscription.id] = subscription
        return subscription

    def _running(self, subscription_id: str) -> StripeSubscription:
        subscription = self._get(self.subscriptions, subscription_id, "id")
        if subscription.status in _ENDED:
            raise StripeRefused
        return subscription

    def _expire(self, checkout: StripeCheckout) -> StripeCheckout:
        self.checkouts[checkout.id] = replace(checkout, status="expired", url=None)
        return self.checkouts[checkout.id]

    def _item(self, price_id: str, period: Period | None, quantity: int | None) -> StripeItem:
        price = self.prices[price_id]
        return StripeItem(
            id=self._id("si"),
            price_id=price_id,
            is_metered=price.is_metered,
            quantity=None if price.is_metered else quantity or 1,
            unit_amount=price.unit_amount,
            currency=price.currency,
            interval=price.interval,
            interval_count=1,
            period=period,
        )

    def _changed(
        self, subscription: StripeSubscription, changes: tuple[ItemChange, ...]
    ) -> tuple[StripeItem, ...]:
        items = {item.id: item for item in subscription.items}
        for change in changes:
            if change.is_removed:
                items.pop(change.item_id or "", None)
            elif change.price_id is not None:
                fresh = self._item(change.price_id, subscription.period, change.quantity)
                known = change.item_id or fresh.id
                items[known] = replace(fresh, id=known)
        return tuple(items.values())

    def _invoice(
        self,
        subscription: StripeSubscription,
        reason: str,
        status: str,
        *,
        is_free: bool = False,
    ) -> StripeInvoice:
        now: datetime = self.clock.now()
        lines = tuple(
            StripeInvoiceLine(
                id=self._id("il"),
                description=item.price_id,
                amount=0 if is_free else (item.unit_amount or 0) * (item.quantity or 1),
                currency=item.currency,
                quantity=item.quantity,
                price_id=item.price_id,
                period=item.period,
                is_proration=False,
            )
            for item in subscription.licensed
        )
        total = sum(line.amount for line in lines)
        is_paid = status == "paid"
        invoice_id = self._id("in")
        return StripeInvoice(
            id=invoice_id,
            customer_id=subscription.customer_id,
            subscription_id=subscription.id,
            number=f"FAKE-{self._numbers:04}",
            status=status,
            billing_reason=reason,
            currency=subscription.currency,
            subtotal=total,
            discount=0,
            tax=0,
            total=total,
            amount_due=total,
            amount_paid=total if is_paid else 0,
            amount_remaining=0 if is_paid else total,
            created_at=now,
            period=subscription.period,
            finalized_at=now,
            paid_at=now if is_paid else None,
            voided_at=None,
            uncollectible_at=None,
            due_at=None,
            attempt_count=1,
            next_attempt_at=None,
            hosted_url=f"https://invoice.stripe.test/{invoice_id}",
            pdf_url=None,
            lines=lines,
            metadata=dict(subscription.metadata),
            livemode=False,
        )
