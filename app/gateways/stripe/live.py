"""Stripe itself, or any server that speaks its API, through the official SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from app.gateways.stripe import parse
from app.gateways.stripe.connection import StripeConnection
from app.gateways.stripe.gateway import (
    CheckoutOrder,
    CustomerDetails,
    ItemChange,
    OrderedPrice,
    StripeCheckout,
    StripeCustomer,
    StripeInvoice,
    StripePaymentMethod,
    StripeSubscription,
)
from app.infra.db.unit_of_work import refuse_inside_unit

if TYPE_CHECKING:
    from stripe.params import (
        CustomerCreateParams,
        SubscriptionCancelParams,
        SubscriptionScheduleUpdateParamsPhase,
        SubscriptionScheduleUpdateParamsPhaseDiscount,
        SubscriptionUpdateParams,
        SubscriptionUpdateParamsItem,
    )
    from stripe.params.billing_portal import SessionCreateParams as PortalParams
    from stripe.params.checkout import SessionCreateParams, SessionCreateParamsLineItem

_EXPAND = ["latest_invoice", "schedule"]
_MAX_PAGES_OF_LINES = 20


class LiveStripe:
    """The gateway over HTTP."""

    def __init__(
        self, connection: StripeConnection, *, portal_configuration: str | None = None
    ) -> None:
        self._connection = connection
        self._portal_configuration = portal_configuration

    def require_configured(self) -> None:
        return None

    async def create_customer(self, details: CustomerDetails, *, key: str) -> str:
        refuse_inside_unit()
        parameters: CustomerCreateParams = {
            "name": details.name,
            "metadata": dict(details.metadata),
        }
        if details.email is not None:
            parameters["email"] = details.email
        created = await self._connection.ask(
            "create_customer",
            lambda: self._connection.v1.customers.create_async(
                parameters, {"idempotency_key": key}
            ),
            parse.customer,
        )
        return created.id

    async def get_customer(self, customer_id: str) -> StripeCustomer:
        refuse_inside_unit()
        return await self._connection.ask(
            "get_customer",
            lambda: self._connection.v1.customers.retrieve_async(customer_id),
            parse.customer,
        )

    async def create_checkout(self, order: CheckoutOrder, *, key: str) -> StripeCheckout:
        refuse_inside_unit()
        parameters = _checkout_parameters(order)
        return await self._connection.ask(
            "create_checkout",
            lambda: self._connection.v1.checkout.sessions.create_async(
                parameters, {"idempotency_key": key}
            ),
            parse.checkout,
        )

    async def get_checkout(self, checkout_id: str) -> StripeCheckout:
        refuse_inside_unit()
        return await self._connection.ask(
            "get_checkout",
            lambda: self._connection.v1.checkout.sessions.retrieve_async(checkout_id),
            parse.checkout,
        )

    async def expire_checkout(self, checkout_id: str) -> StripeCheckout:
        refuse_inside_unit()
        return await self._connection.ask(
            "expire_checkout",
            lambda: self._connection.v1.checkout.sessions.expire_async(checkout_id),
            parse.checkout,
        )

    async def create_portal(self, customer_id: str, *, return_url: str) -> str:
        refuse_inside_unit()
        parameters: PortalParams = {"customer": customer_id, "return_url": return_url}
        if self._portal_configuration is not None:
            parameters["configuration"] = self._portal_configuration
        return await self._connection.ask(
            "create_portal",
            lambda: self._connection.v1.billing_portal.sessions.create_async(parameters),
            lambda data: str(data["url"]),
        )

    async def get_subscription(self, subscription_id: str) -> StripeSubscription:
        refuse_inside_unit()
        return await self._connection.ask(
            "get_subscription",
            lambda: self._connection.v1.subscriptions.retrieve_async(
                subscription_id, {"expand": _EXPAND}
            ),
            parse.subscription,
        )

    async def change_items(
        self, subscription_id: str, changes: tuple[ItemChange, ...], *, is_billed: bool, key: str
    ) -> StripeSubscription:
        refuse_inside_unit()
        parameters: SubscriptionUpdateParams = {
            "items": [_item_parameters(change) for change in changes],
            "proration_behavior": "always_invoice" if is_billed else "none",
            "payment_behavior": "pending_if_incomplete" if is_billed else "allow_incomplete",
        }
        return await self._update(subscription_id, parameters, "change_items", key)

    async def schedule_items(
        self, subscription: StripeSubscription, next_prices: tuple[OrderedPrice, ...], *, key: str
    ) -> StripeSubscription:
        refuse_inside_unit()
        schedule_id, running = await self._connection.ask(
            "create_schedule",
            lambda: self._connection.v1.subscription_schedules.create_async(
                {"from_subscription": subscription.id}, {"idempotency_key": f"{key}:create"}
            ),
            lambda data: (str(data["id"]), dict(data["phases"][0])),
        )
        # Stripe wants the running phase said again word for word, discounts included.
        now: SubscriptionScheduleUpdateParamsPhase = {
            "items": [
                {"price": item.price_id, "quantity": item.quantity or 1}
                if not item.is_metered
                else {"price": item.price_id}
                for item in subscription.items
            ],
            "start_date": running["start_date"],
            "end_date": running["end_date"],
            "proration_behavior": "none",
        }
        after: SubscriptionScheduleUpdateParamsPhase = {
            "items": [
                {"price": price.price_id, "quantity": price.quantity}
                if price.quantity is not None
                else {"price": price.price_id}
                for price in next_prices
            ],
            "duration": {"interval": "month", "interval_count": 1},
            "proration_behavior": "none",
        }
        if discounts := _carried_discounts(running):
            now["discounts"] = after["discounts"] = discounts
        await self._connection.ask(
            "update_schedule",
            lambda: self._connection.v1.subscription_schedules.update_async(
                schedule_id,
                {"phases": [now, after], "end_behavior": "release"},
                {"idempotency_key": f"{key}:phases"},
            ),
            lambda data: str(data["id"]),
        )
        return await self.get_subscription(subscription.id)

    async def release_schedule(self, schedule_id: str, *, key: str) -> None:
        refuse_inside_unit()
        await self._connection.ask(
            "release_schedule",
            lambda: self._connection.v1.subscription_schedules.release_async(
                schedule_id, None, {"idempotency_key": key}
            ),
            lambda data: str(data["id"]),
        )

    async def cancel_at_period_end(
        self, subscription_id: str, *, comment: str | None, key: str
    ) -> StripeSubscription:
        refuse_inside_unit()
        parameters: SubscriptionUpdateParams = {"cancel_at_period_end": True}
        if comment:
            parameters["cancellation_details"] = {"comment": comment}
        return await self._update(subscription_id, parameters, "cancel_at_period_end", key)

    async def cancel_now(
        self, subscription_id: str, *, comment: str | None, key: str
    ) -> StripeSubscription:
        refuse_inside_unit()
        parameters: SubscriptionCancelParams = {
            "invoice_now": True,
            "prorate": False,
            "expand": _EXPAND,
        }
        if comment:
            parameters["cancellation_details"] = {"comment": comment}
        return await self._connection.ask(
            "cancel_now",
            lambda: self._connection.v1.subscriptions.cancel_async(
                subscription_id, parameters, {"idempotency_key": key}
            ),
            parse.subscription,
        )

    async def undo_cancellation(
        self, subscription: StripeSubscription, *, key: str
    ) -> StripeSubscription:
        refuse_inside_unit()
        # Stripe fills cancel_at in both ways of scheduling, so the flag is asked first.
        parameters: SubscriptionUpdateParams = (
            {"cancel_at_period_end": False}
            if subscription.cancel_at_period_end
            else {"cancel_at": ""}
        )
        return await self._update(subscription.id, parameters, "undo_cancellation", key)

    async def resume_paused(self, subscription_id: str, *, key: str) -> StripeSubscription:
        refuse_inside_unit()
        return await self._connection.ask(
            "resume_paused",
            lambda: self._connection.v1.subscriptions.resume_async(
                subscription_id,
                {
                    "billing_cycle_anchor": {"type": "now"},
                    "payment_behavior": "resume_on_payment_success",
                    "expand": _EXPAND,
                },
                {"idempotency_key": key},
            ),
            parse.subscription,
        )

    async def resume_collection(self, subscription_id: str, *, key: str) -> StripeSubscription:
        refuse_inside_unit()
        parameters: SubscriptionUpdateParams = {"pause_collection": ""}
        return await self._update(subscription_id, parameters, "resume_collection", key)

    async def preview(
        self,
        subscription_id: str,
        changes: tuple[ItemChange, ...] = (),
        *,
        is_billed: bool = False,
    ) -> StripeInvoice:
        refuse_inside_unit()
        if not changes:
            return await self._connection.ask(
                "preview",
                lambda: self._connection.v1.invoices.create_preview_async(
                    {"subscription": subscription_id}
                ),
                parse.invoice,
            )
        return await self._connection.ask(
            "preview",
            lambda: self._connection.v1.invoices.create_preview_async(
                {
                    "subscription": subscription_id,
                    "subscription_details": {
                        "items": [_item_parameters(change) for change in changes],
                        "proration_behavior": "always_invoice" if is_billed else "none",
                    },
                }
            ),
            parse.invoice,
        )

    async def get_invoice(self, invoice_id: str) -> StripeInvoice:
        refuse_inside_unit()
        data = await self._connection.ask(
            "get_invoice",
            lambda: self._connection.v1.invoices.retrieve_async(
                invoice_id, {"expand": ["discounts.source.coupon"]}
            ),
            _plain_invoice,
        )
        lines: list[Any] = data["lines"]["data"]
        has_more = bool(data["lines"].get("has_more"))
        for _ in range(_MAX_PAGES_OF_LINES):
            if not has_more:
                break
            page = await self._connection.ask(
                "list_invoice_lines",
                lambda: self._connection.v1.invoices.line_items.list_async(
                    invoice_id, {"limit": 100, "starting_after": lines[-1]["id"]}
                ),
                lambda found: found,
            )
            lines.extend(page["data"])
            has_more = bool(page["has_more"])
        return parse.invoice(data)

    async def list_payment_methods(self, customer_id: str) -> tuple[StripePaymentMethod, ...]:
        refuse_inside_unit()
        return await self._connection.ask(
            "list_payment_methods",
            lambda: self._connection.v1.customers.payment_methods.list_async(
                customer_id, {"limit": 100}
            ),
            lambda data: tuple(parse.payment_method(item) for item in data["data"]),
        )

    async def find_promotion_code(self, code: str) -> str | None:
        refuse_inside_unit()
        return await self._connection.ask(
            "find_promotion_code",
            lambda: self._connection.v1.promotion_codes.list_async(
                {"code": code, "active": True, "limit": 1}
            ),
            lambda data: str(data["data"][0]["id"]) if data["data"] else None,
        )

    async def _update(
        self, subscription_id: str, parameters: SubscriptionUpdateParams, call: str, key: str
    ) -> StripeSubscription:
        return await self._connection.ask(
            call,
            lambda: self._connection.v1.subscriptions.update_async(
                subscription_id, {**parameters, "expand": _EXPAND}, {"idempotency_key": key}
            ),
            parse.subscription,
        )


def _plain_invoice(data: Mapping[str, Any]) -> dict[str, Any]:
    # Read once here so that a shape which cannot be read is reported as such.
    parse.invoice(data)
    return dict(data)


def _carried_discounts(
    phase: Mapping[str, Any],
) -> list[SubscriptionScheduleUpdateParamsPhaseDiscount]:
    """The discounts of a phase, as the parameters that keep them."""
    found = phase.get("discounts") or ()
    return [{"discount": one["discount"]} for one in found if one.get("discount")]


def _checkout_parameters(order: CheckoutOrder) -> SessionCreateParams:
    lines: list[SessionCreateParamsLineItem] = [
        {"price": price.price_id, "quantity": price.quantity}
        if price.quantity is not None
        else {"price": price.price_id}
        for price in order.prices
    ]
    parameters: SessionCreateParams = {
        "mode": "subscription",
        "customer": order.customer_id,
        "client_reference_id": order.reference,
        "line_items": lines,
        "success_url": order.success_url,
        "cancel_url": order.cancel_url,
        "payment_method_collection": "always",
        "metadata": dict(order.metadata),
        "subscription_data": {"metadata": dict(order.metadata)},
    }
    if order.trial_days:
        parameters["subscription_data"] = {
            "metadata": dict(order.metadata),
            "trial_period_days": order.trial_days,
            "trial_settings": {"end_behavior": {"missing_payment_method": "cancel"}},
        }
    if order.promotion_code_id is not None:
        parameters["discounts"] = [{"promotion_code": order.promotion_code_id}]
    else:
        parameters["allow_promotion_codes"] = True
    return parameters


def _item_parameters(change: ItemChange) -> SubscriptionUpdateParamsItem:
    parameters: SubscriptionUpdateParamsItem = {}
    if change.item_id is not None:
        parameters["id"] = change.item_id
    if change.is_removed:
        parameters["deleted"] = True
    if change.price_id is not None:
        parameters["price"] = change.price_id
    if change.quantity is not None:
        parameters["quantity"] = change.quantity
    return parameters
