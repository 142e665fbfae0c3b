"""The past, asked of Stripe itself."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from app.gateways.stripe import parse
from app.gateways.stripe.connection import StripeConnection
from app.gateways.stripe.gateway import StripeInvoice, StripeSubscription
from app.gateways.stripe.history import EventPage
from app.infra.db.unit_of_work import refuse_inside_unit

if TYPE_CHECKING:
    from stripe.params import EventListParams, InvoiceListParams, SubscriptionListParams

T = TypeVar("T")

_PAGE = 100
_MAX_PAGES = 20
"""A customer with more than 2,000 of anything is not read to the end."""


class LiveHistory:
    """The gateway over HTTP."""

    def __init__(self, connection: StripeConnection) -> None:
        self._connection = connection

    async def list_undelivered(self, since: datetime, *, after: str | None) -> EventPage:
        refuse_inside_unit()
        asked: EventListParams = {
            "delivery_success": False,
            "created": {"gte": int(since.timestamp())},
            "limit": _PAGE,
        }
        if after is not None:
            asked["starting_after"] = after
        return await self._connection.ask(
            "list_undelivered", lambda: self._connection.v1.events.list_async(asked), _events
        )

    async def list_subscriptions(self, customer_id: str) -> tuple[StripeSubscription, ...]:
        asked: SubscriptionListParams = {
            "customer": customer_id,
            "status": "all",
            "limit": _PAGE,
            "expand": ["data.latest_invoice", "data.schedule"],
        }

        def ask(after: str | None) -> Awaitable[Any]:
            page: SubscriptionListParams = {**asked, "starting_after": after} if after else asked
            return self._connection.v1.subscriptions.list_async(page)

        return await self._all("list_subscriptions", ask, parse.subscription)

    async def list_invoices(self, customer_id: str, since: datetime) -> tuple[StripeInvoice, ...]:
        asked: InvoiceListParams = {
            "customer": customer_id,
            "created": {"gte": int(since.timestamp())},
            "limit": _PAGE,
            "expand": ["data.discounts.source.coupon"],
        }

        def ask(after: str | None) -> Awaitable[Any]:
            page: InvoiceListParams = {**asked, "starting_after": after} if after else asked
            return self._connection.v1.invoices.list_async(page)

        return await self._all("list_invoices", ask, parse.invoice)

    async def _all(
        self,
        call: str,
        ask: Callable[[str | None], Awaitable[Any]],
        read: Callable[[Mapping[str, Any]], T],
    ) -> tuple[T, ...]:
        refuse_inside_unit()
        found: list[T] = []
        after: str | None = None
        for _ in range(_MAX_PAGES):
            items, after = await self._connection.ask(
                call, partial(ask, after), lambda data: _page(data, read)
            )
            found.extend(items)
            if after is None:
                break
        return tuple(found)


def _page(
    data: Mapping[str, Any], read: Callable[[Mapping[str, Any]], T]
) -> tuple[list[T], str | None]:
    items = data["data"]
    more = bool(data.get("has_more")) and bool(items)
    return [read(item) for item in items], items[-1]["id"] if more else None


def _events(data: Mapping[str, Any]) -> EventPage:
    items, after = _page(data, json.dumps)
    return EventPage(tuple(items), after)
