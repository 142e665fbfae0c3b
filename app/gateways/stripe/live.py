"""Stripe itself, or any server that speaks its API, through the official SDK."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import stripe
import structlog

from app.gateways.stripe import parse
from app.gateways.stripe.errors import (
    CardDeclined,
    StripeKeyReused,
    StripeMisconfigured,
    StripeMissing,
    StripeRefused,
    StripeUnavailable,
)
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
from app.infra.telemetry.metrics import GATEWAY_SECONDS
from app.kernel.errors import BillingError

if TYPE_CHECKING:
    from stripe.params import (
        SubscriptionCancelParams,
        SubscriptionScheduleUpdateParamsPhase,
        SubscriptionUpdateParams,
        SubscriptionUpdateParamsItem,
    )
    from stripe.params.checkout import SessionCreateParams, SessionCreateParamsLineItem

log = structlog.get_logger(__name__)

T = TypeVar("T")

TIMEOUT_SECONDS = 10.0
NETWORK_RETRIES = 2
"""Given explicitly: a StripeClient that is not told retries nothing."""
_BACKOFF_SECONDS = (0.5, 1.0, 2.0)
_EXPAND = ["latest_invoice", "schedule"]
_MAX_PAGES_OF_LINES = 20

Sleep = Callable[[float], Awaitable[None]]
MakeHttpClient = Callable[[], stripe.HTTPXClient]


def _http_client() -> stripe.HTTPXClient:
    return stripe.HTTPXClient(timeout=TIMEOUT_SECONDS)


class LiveStripe:
    """The gateway over HTTP. `start` it in the loop that will call it; httpx is bound to one."""

    def __init__(
        self,
        secret_key: str,
        *,
        api_base: str | None = None,
        make_http_client: MakeHttpClient = _http_client,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._secret_key = secret_key
        self._api_base = api_base
        self._make_http_client = make_http_client
        self._sleep = sleep
        self._http: stripe.HTTPXClient | None = None
        self._client: stripe.StripeClient | None = None

    async def start(self) -> None:
        stripe.enable_telemetry = False
        # The SDK logs requests with their parameters at info; customers' names are in them.
        logging.getLogger("stripe").setLevel(logging.WARNING)
        self._http = self._make_http_client()
        self._client = stripe.StripeClient(
            self._secret_key,
            base_addresses={"api": self._api_base, "meter_events": self._api_base}
            if self._api_base
            else {},
            max_network_retries=NETWORK_RETRIES,
            http_client=self._http,
        )

    async def stop(self) -> None:
        if self._http is not None:
            await self._http.close_async()  # type: ignore[no-untyped-call]
        self._http = self._client = None

    async def create_customer(self, details: CustomerDetails, *, key: str) -> str:
        refuse_inside_unit()
        created = await self._ask(
            "create_customer",
            lambda: self._v1.customers.create_async(
                {
                    "name": details.name,
                    "email": details.email,
                    "metadata": dict(details.metadata),
                },
                {"idempotency_key": key},
            ),
            parse.customer,
        )
        return created.id

    async def get_customer(self, customer_id: str) -> StripeCustomer:
        refuse_inside_unit()
        return await self._ask(
            "get_customer", lambda: self._v1.customers.retrieve_async(customer_id), parse.customer
        )

    async def create_checkout(self, order: CheckoutOrder, *, key: str) -> StripeCheckout:
        refuse_inside_unit()
        parameters = _checkout_parameters(order)
        return await self._ask(
            "create_checkout",
            lambda: self._v1.checkout.sessions.create_async(parameters, {"idempotency_key": key}),
            parse.checkout,
        )

    async def get_checkout(self, checkout_id: str) -> StripeCheckout:
        refuse_inside_unit()
        return await self._ask(
            "get_checkout",
            lambda: self._v1.checkout.sessions.retrieve_async(checkout_id),
            parse.checkout,
        )

    async def expire_checkout(self, checkout_id: str) -> StripeCheckout:
        refuse_inside_unit()
        return await self._ask(
            "expire_checkout",
            lambda: self._v1.checkout.sessions.expire_async(checkout_id),
            parse.checkout,
        )

    async def create_portal(self, customer_id: str, *, return_url: str) -> str:
        refuse_inside_unit()
        return await self._ask(
            "create_portal",
            lambda: self._v1.billing_portal.sessions.create_async(
                {"customer": customer_id, "return_url": return_url}
            ),
            lambda data: str(data["url"]),
        )

    async def get_subscription(self, subscription_id: str) -> StripeSubscription:
        refuse_inside_unit()
        return await self._ask(
            "get_subscription",
            lambda: self._v1.subscriptions.retrieve_async(subscription_id, {"expand": _EXPAND}),
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
        schedule_id = await self._ask(
            "create_schedule",
            lambda: self._v1.subscription_schedules.create_async(
                {"from_subscription": subscription.id}, {"idempotency_key": f"{key}:create"}
            ),
            lambda data: str(data["id"]),
        )
        period = subscription.period
        if period is None:
            raise StripeRefused
        now: SubscriptionScheduleUpdateParamsPhase = {
            "items": [
                {"price": item.price_id, "quantity": item.quantity or 1}
                if not item.is_metered
                else {"price": item.price_id}
                for item in subscription.items
            ],
            "start_date": int(period.start.timestamp()),
            "end_date": int(period.end.timestamp()),
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
        await self._ask(
            "update_schedule",
            lambda: self._v1.subscription_schedules.update_async(
                schedule_id,
                {"phases": [now, after], "end_behavior": "release"},
                {"idempotency_key": f"{key}:phases"},
            ),
            lambda data: str(data["id"]),
        )
        return await self.get_subscription(subscription.id)

    async def release_schedule(self, schedule_id: str, *, key: str) -> None:
        refuse_inside_unit()
        await self._ask(
            "release_schedule",
            lambda: self._v1.subscription_schedules.release_async(
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
        return await self._ask(
            "cancel_now",
            lambda: self._v1.subscriptions.cancel_async(
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
        return await self._ask(
            "resume_paused",
            lambda: self._v1.subscriptions.resume_async(
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

    async def preview(
        self,
        subscription_id: str,
        changes: tuple[ItemChange, ...] = (),
        *,
        is_billed: bool = False,
    ) -> StripeInvoice:
        refuse_inside_unit()
        if not changes:
            return await self._ask(
                "preview",
                lambda: self._v1.invoices.create_preview_async({"subscription": subscription_id}),
                parse.invoice,
            )
        return await self._ask(
            "preview",
            lambda: self._v1.invoices.create_preview_async(
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
        data = await self._ask(
            "get_invoice", lambda: self._v1.invoices.retrieve_async(invoice_id), _plain_invoice
        )
        lines: list[Any] = data["lines"]["data"]
        has_more = bool(data["lines"].get("has_more"))
        for _ in range(_MAX_PAGES_OF_LINES):
            if not has_more:
                break
            page = await self._ask(
                "list_invoice_lines",
                lambda: self._v1.invoices.line_items.list_async(
                    invoice_id, {"limit": 100, "starting_after": lines[-1]["id"]}
                ),
                lambda found: found,
            )
            lines.extend(page["data"])
            has_more = bool(page["has_more"])
        return parse.invoice(data)

    async def list_payment_methods(self, customer_id: str) -> tuple[StripePaymentMethod, ...]:
        refuse_inside_unit()
        return await self._ask(
            "list_payment_methods",
            lambda: self._v1.customers.payment_methods.list_async(customer_id, {"limit": 100}),
            lambda data: tuple(parse.payment_method(item) for item in data["data"]),
        )

    async def find_promotion_code(self, code: str) -> str | None:
        refuse_inside_unit()
        return await self._ask(
            "find_promotion_code",
            lambda: self._v1.promotion_codes.list_async({"code": code, "active": True, "limit": 1}),
            lambda data: str(data["data"][0]["id"]) if data["data"] else None,
        )

    @property
    def _v1(self) -> Any:
        if self._client is None:
            raise RuntimeError("start the gateway in the loop that calls it")
        return self._client.v1

    async def _update(
        self, subscription_id: str, parameters: SubscriptionUpdateParams, call: str, key: str
    ) -> StripeSubscription:
        return await self._ask(
            call,
            lambda: self._v1.subscriptions.update_async(
                subscription_id, {**parameters, "expand": _EXPAND}, {"idempotency_key": key}
            ),
            parse.subscription,
        )

    async def _ask(
        self,
        call: str,
        ask: Callable[[], Awaitable[Any]],
        read: Callable[[Mapping[str, Any]], T],
    ) -> T:
        """One call, patient with 429 (which the SDK is not), its answer read, its errors ours."""
        started_at = asyncio.get_running_loop().time()
        outcome = "failed"
        try:
            answer = read((await self._patiently(ask)).to_dict(for_json=True))
            outcome = "done"
            return answer
        except stripe.StripeError as error:
            log.warning(
                "stripe.refused",
                call=call,
                error=type(error).__name__,
                code=error.code,
                status=error.http_status,
                stripe_request_id=error.request_id,
                message=error.user_message,
            )
            raise translate(error) from None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # An error body that is a text, or an object without its required fields: whoever
            # answered is not Stripe, or not well.
            log.warning("stripe.unreadable_answer", call=call, error=repr(error))
            raise StripeUnavailable from error
        finally:
            seconds = asyncio.get_running_loop().time() - started_at
            GATEWAY_SECONDS.labels("stripe", call, outcome).observe(seconds)

    async def _patiently(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        for delay in _BACKOFF_SECONDS:
            try:
                return await ask()
            except stripe.RateLimitError:
                await self._sleep(delay)
        return await ask()


def translate(error: stripe.StripeError) -> BillingError:
    """The SDK's error as one of ours; what it told us goes to the log, not to the caller."""
    details = error.json_body.get("error") if isinstance(error.json_body, dict) else None
    details = details if isinstance(details, dict) else {}
    match error:
        case stripe.CardError():
            return CardDeclined(decline_code=details.get("decline_code") or error.code)
        case stripe.IdempotencyError():
            return StripeKeyReused()
        case stripe.InvalidRequestError() if error.code == "resource_missing":
            return StripeMissing(parameter=details.get("param"))
        case stripe.InvalidRequestError():
            return StripeRefused()
        case stripe.AuthenticationError() | stripe.PermissionError():
            return StripeMisconfigured()
        case _:
            return StripeUnavailable()


def _plain_invoice(data: Mapping[str, Any]) -> dict[str, Any]:
    # Read once here so that a shape which cannot be read is reported as such.
    parse.invoice(data)
    return dict(data)


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
