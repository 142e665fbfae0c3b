"""Setting up an account at Stripe itself, through the official SDK."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import stripe

from app.gateways.stripe.connection import StripeConnection
from app.gateways.stripe.errors import StripeMissing
from app.gateways.stripe.live_metering import meter
from app.gateways.stripe.metering import StripeMeter
from app.gateways.stripe.setup import FoundPrice, Listener, PortalSpec, PriceSpec, PutPortal
from app.infra.db.unit_of_work import refuse_inside_unit

if TYPE_CHECKING:
    from stripe.params import PriceCreateParams, PriceCreateParamsTier, WebhookEndpointCreateParams
    from stripe.params.billing_portal import ConfigurationCreateParamsFeatures
    from stripe.params.v2.core import EventDestinationCreateParams

Json = Mapping[str, Any]

API_VERSION = stripe.api_version
"""The version that the SDK is made for; an endpoint keeps the one that it is made with."""

_FINGERPRINT = "made_as"
_PORTAL = "made_for"
_PORTAL_VERSION = 1
"""Another number changes the configurations that there are at the next run."""
_PAGE = 100
_NAME = "Billing service"


class LiveSetup:
    """The gateway over HTTP."""

    def __init__(self, connection: StripeConnection) -> None:
        self._connection = connection

    async def put_product(self, product_id: str, name: str) -> bool:
        refuse_inside_unit()
        products = self._connection.v1.products
        try:
            known = await self._connection.ask(
                "get_product",
                lambda: products.retrieve_async(product_id),
                lambda data: (data["name"], bool(data["active"])),
            )
        except StripeMissing:
            await self._connection.ask(
                "create_product",
                lambda: products.create_async(
                    {"id": product_id, "name": name},
                    {"idempotency_key": _key("product", product_id, name)},
                ),
                lambda data: data["id"],
            )
            return True
        if known != (name, True):
            await self._connection.ask(
                "update_product",
                lambda: products.update_async(product_id, {"name": name, "active": True}),
                lambda data: data["id"],
            )
        return False

    async def find_price(self, lookup_key: str) -> FoundPrice | None:
        refuse_inside_unit()
        return await self._connection.ask(
            "find_price",
            lambda: self._connection.v1.prices.list_async(
                {"lookup_keys": [lookup_key], "active": True, "limit": 1}
            ),
            lambda data: _price(data["data"][0]) if data["data"] else None,
        )

    async def create_price(self, spec: PriceSpec) -> str:
        refuse_inside_unit()
        parameters = _price_parameters(spec)
        return await self._connection.ask(
            "create_price",
            lambda: self._connection.v1.prices.create_async(
                parameters, {"idempotency_key": _key("price", spec.lookup_key, spec.fingerprint)}
            ),
            lambda data: str(data["id"]),
        )

    async def find_meter(self, event_name: str) -> StripeMeter | None:
        refuse_inside_unit()
        found = await self._connection.ask(
            "list_meters",
            lambda: self._connection.v1.billing.meters.list_async(
                {"status": "active", "limit": _PAGE}
            ),
            lambda data: [meter(one) for one in data["data"]],
        )
        return next((one for one in found if one.event_name == event_name), None)

    async def create_meter(self, event_name: str, display_name: str) -> StripeMeter:
        refuse_inside_unit()
        return await self._connection.ask(
            "create_meter",
            lambda: self._connection.v1.billing.meters.create_async(
                {
                    "event_name": event_name,
                    "display_name": display_name,
                    "default_aggregation": {"formula": "sum"},
                    "customer_mapping": {
                        "type": "by_id",
                        "event_payload_key": "stripe_customer_id",
                    },
                    "value_settings": {"event_payload_key": "value"},
                },
                {"idempotency_key": _key("meter", event_name)},
            ),
            meter,
        )

    async def put_portal(self, spec: PortalSpec) -> PutPortal:
        refuse_inside_unit()
        configurations = self._connection.v1.billing_portal.configurations
        wanted = _digest(repr((_PORTAL_VERSION, sorted(spec.plans.items()))))
        metadata = {_PORTAL: spec.name, _FINGERPRINT: wanted}
        features = _portal_features(spec)
        known = await self._connection.ask(
            "list_portals",
            lambda: configurations.list_async({"active": True, "limit": _PAGE}),
            lambda data: [
                (str(one["id"]), one["metadata"].get(_FINGERPRINT))
                for one in data["data"]
                if (one.get("metadata") or {}).get(_PORTAL) == spec.name
            ],
        )
        if not known:
            # Without a key of ours: one that was switched off since is not made by a replay.
            made = await self._connection.ask(
                "create_portal_configuration",
                lambda: configurations.create_async(
                    {"features": features, "metadata": metadata, "name": spec.name}
                ),
                lambda data: str(data["id"]),
            )
            return PutPortal(made, "made")
        found, fingerprint = known[0]
        if fingerprint == wanted:
            return PutPortal(found, "kept")
        await self._connection.ask(
            "change_portal_configuration",
            lambda: configurations.update_async(
                found,
                {"features": cast("Any", features), "metadata": metadata},
            ),
            lambda data: data["id"],
        )
        return PutPortal(found, "changed")

    async def find_endpoint(self, url: str) -> Listener | None:
        refuse_inside_unit()
        found = await self._connection.ask(
            "list_endpoints",
            lambda: self._connection.v1.webhook_endpoints.list_async({"limit": _PAGE}),
            lambda data: [_listener(one) for one in data["data"]],
        )
        return next((one for one in found if one.url == url), None)

    async def create_endpoint(
        self, url: str, events: Sequence[str], *, api_version: str
    ) -> Listener:
        refuse_inside_unit()
        parameters: WebhookEndpointCreateParams = {
            "url": url,
            "enabled_events": _typed(events),
            "api_version": cast("Any", api_version),
            "description": _NAME,
        }
        # Without a key of ours: a replayed answer would tell the secret of an endpoint that has
        # been deleted since.
        return await self._connection.ask(
            "create_endpoint",
            lambda: self._connection.v1.webhook_endpoints.create_async(parameters),
            _listener,
        )

    async def change_endpoint(self, endpoint_id: str, events: Sequence[str]) -> None:
        refuse_inside_unit()
        await self._connection.ask(
            "change_endpoint",
            lambda: self._connection.v1.webhook_endpoints.update_async(
                endpoint_id,
                {"enabled_events": _typed(events), "disabled": False},
            ),
            lambda data: data["id"],
        )

    async def find_destination(self, url: str) -> Listener | None:
        refuse_inside_unit()
        found = await self._connection.ask(
            "list_destinations",
            lambda: self._connection.v2.core.event_destinations.list_async(
                {"limit": _PAGE, "include": ["webhook_endpoint.url"]}
            ),
            lambda data: [_destination(one) for one in data["data"] if one.get("webhook_endpoint")],
        )
        return next((one for one in found if one.url == url), None)

    async def create_destination(self, url: str, events: Sequence[str]) -> Listener:
        refuse_inside_unit()
        parameters: EventDestinationCreateParams = {
            "name": _NAME,
            "type": "webhook_endpoint",
            "event_payload": "thin",
            "enabled_events": list(events),
            "webhook_endpoint": {"url": url},
            "include": ["webhook_endpoint.signing_secret", "webhook_endpoint.url"],
        }
        return await self._connection.ask(
            "create_destination",
            lambda: self._connection.v2.core.event_destinations.create_async(parameters),
            _destination,
        )

    async def change_destination(self, destination_id: str, events: Sequence[str]) -> None:
        refuse_inside_unit()
        await self._connection.ask(
            "change_destination",
            lambda: self._connection.v2.core.event_destinations.update_async(
                destination_id, {"enabled_events": list(events)}
            ),
            lambda data: data["id"],
        )


def _portal_features(spec: PortalSpec) -> ConfigurationCreateParamsFeatures:
    features: ConfigurationCreateParamsFeatures = {
        "customer_update": {"enabled": False},
        "invoice_history": {"enabled": True},
        "payment_method_update": {"enabled": True},
        "subscription_cancel": {
            "enabled": True,
            "mode": "at_period_end",
            "proration_behavior": "none",
        },
        "subscription_update": {"enabled": False},
    }
    if spec.plans:
        # As our own rules have it: better at once and billed, lesser at the period's end.
        features["subscription_update"] = {
            "enabled": True,
            "default_allowed_updates": ["price"],
            "products": [
                {"product": product, "prices": list(prices)}
                for product, prices in spec.plans.items()
            ],
            "proration_behavior": "always_invoice",
            "schedule_at_period_end": {
                "conditions": [
                    {"type": "decreasing_item_amount"},
                    {"type": "shortening_interval"},
                ]
            },
        }
    return features


def _price_parameters(spec: PriceSpec) -> PriceCreateParams:
    parameters: PriceCreateParams = {
        "lookup_key": spec.lookup_key,
        "transfer_lookup_key": True,
        "product": spec.product_id,
        "currency": spec.currency,
        "recurring": {"interval": spec.interval},
        "metadata": {_FINGERPRINT: _digest(spec.fingerprint)},
    }
    if spec.meter_id is not None:
        parameters["recurring"] |= {"usage_type": "metered", "meter": spec.meter_id}
    if spec.tiers:
        tiers: list[PriceCreateParamsTier] = [
            {
                "up_to": "inf" if tier.up_to is None else tier.up_to,
                "unit_amount_decimal": tier.unit_amount,
                "flat_amount_decimal": tier.flat_amount,
            }
            for tier in spec.tiers
        ]
        parameters |= {
            "billing_scheme": "tiered",
            "tiers": tiers,
            "tiers_mode": spec.tiers_mode or "graduated",
        }
    elif spec.unit_amount is not None and spec.unit_amount == int(spec.unit_amount):
        parameters["unit_amount"] = int(spec.unit_amount)
    elif spec.unit_amount is not None:
        parameters["unit_amount_decimal"] = spec.unit_amount
    if spec.package_size is not None:
        parameters["transform_quantity"] = {"divide_by": spec.package_size, "round": "up"}
    return parameters


def _price(data: Json) -> FoundPrice:
    return FoundPrice(data["id"], (data.get("metadata") or {}).get(_FINGERPRINT))


def _listener(data: Json) -> Listener:
    return Listener(
        id=data["id"],
        url=data["url"],
        events=tuple(data["enabled_events"]),
        secret=data.get("secret"),
    )


def _destination(data: Json) -> Listener:
    endpoint = data["webhook_endpoint"]
    return Listener(
        id=data["id"],
        url=endpoint.get("url") or "",
        events=tuple(data["enabled_events"]),
        secret=endpoint.get("signing_secret"),
    )


def matches(found: FoundPrice, spec: PriceSpec) -> bool:
    """Whether a price of the account was made as *spec* says."""
    return found.fingerprint == _digest(spec.fingerprint)


def _typed(events: Sequence[str]) -> Any:
    # The SDK lists every event of the API as a literal; a test holds ours against that list.
    return list(events)


def _key(*parts: str) -> str:
    return f"setup:{_digest('/'.join(parts))}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
