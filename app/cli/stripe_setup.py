"""`stripe-setup`: put up at Stripe what the catalog sells, and have us told of what happens.

Running it again changes what differs and nothing else: products are found by their id, prices by
their lookup key, meters by their event name, endpoints by their URL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from app.catalog.document import StripePriceIds, catalog_of, read_catalog
from app.catalog.domain import (
    Catalog,
    GraduatedPrice,
    PackagePrice,
    PerUnitPrice,
    Plan,
    Tier,
    UsagePrice,
    VolumePrice,
)
from app.gateways.stripe.connection import StripeConnection
from app.gateways.stripe.errors import StripeMissing, StripeRefused
from app.gateways.stripe.live_setup import API_VERSION, LiveSetup, matches
from app.gateways.stripe.metering import StripeMeter
from app.gateways.stripe.setup import Listener, PortalSpec, PriceSpec, SetupGateway, TierSpec
from app.infra.settings import Settings
from app.infra.telemetry.logging import configure_logging
from app.kernel.entitlements import LimitPolicy

WEBHOOK_PATH = "/api/v1/webhooks/stripe"

EVENTS = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "customer.subscription.pending_update_applied",
    "customer.subscription.pending_update_expired",
    "invoice.created",
    "invoice.finalized",
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.payment_action_required",
    "invoice.finalization_failed",
    "invoice.voided",
    "invoice.marked_uncollectible",
    "invoice.upcoming",
    "credit_note.created",
    "credit_note.updated",
    "credit_note.voided",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "customer.updated",
    "customer.deleted",
    "payment_method.attached",
    "payment_method.detached",
    "payment_method.automatically_updated",
)
"""Every event that is handled; others would be kept and ignored."""

THIN_EVENTS = ("v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found")
"""These come as thin events only, and so to a destination of their own."""


class SetupImpossible(RuntimeError):
    """The account cannot be set up; the text says why."""


@dataclass
class Outcome:
    """What the account has now: lines for the environment, and what a person should know."""

    environment: dict[str, str] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)


def set_up(
    settings: Settings,
    *,
    webhook_url: str | None,
    metered: Mapping[str, Decimal],
    portal_plans: bool = False,
) -> Outcome:
    """Set up the account of the settings' key. *metered* are minor units for each unit of use.

    With *portal_plans* customers may also change plans in Stripe's portal.
    """
    configure_logging("error", json=False)
    if settings.stripe_secret_key is None:
        raise SetupImpossible("STRIPE_SECRET_KEY is not set: whose account is to be set up?")
    if webhook_url is None and settings.public_url is not None:
        webhook_url = settings.public_url.rstrip("/") + WEBHOOK_PATH
    catalog = catalog_of(read_catalog(settings.catalog), StripePriceIds())
    return asyncio.run(_set_up(settings, catalog, webhook_url, metered, portal_plans))


async def _set_up(
    settings: Settings,
    catalog: Catalog,
    webhook_url: str | None,
    metered: Mapping[str, Decimal],
    portal_plans: bool,
) -> Outcome:
    if settings.stripe_secret_key is None:
        raise SetupImpossible("STRIPE_SECRET_KEY is not set")
    connection = StripeConnection(
        settings.stripe_secret_key.get_secret_value(), api_base=settings.stripe_api_base
    )
    await connection.start()
    try:
        work = Setup(LiveSetup(connection), catalog, metered)
        await work.sell()
        await work.open_portal(with_plans=portal_plans)
        if webhook_url is None:
            work.outcome.notes.append(
                "No webhook endpoint: give --webhook-url, or set ARAGORA_PUBLIC_URL."
            )
        else:
            await work.listen(webhook_url)
        return work.outcome
    finally:
        await connection.stop()


class Setup:
    """One run over an account."""

    def __init__(
        self, stripe: SetupGateway, catalog: Catalog, metered: Mapping[str, Decimal]
    ) -> None:
        self._stripe = stripe
        self._catalog = catalog
        self._metered = metered
        self._plans: dict[str, tuple[str, ...]] = {}
        self.outcome = Outcome()

    async def sell(self) -> None:
        """Products and prices of every plan, meters and metered prices of what is metered."""
        unknown = set(self._metered) - {
            price.metric for plan in self._catalog.plans for price in plan.metered
        }
        if unknown:
            raise SetupImpossible(f"no plan meters {', '.join(sorted(unknown))}")
        done: set[str] = set()
        for plan in self._catalog.plans:
            await self._sell_plan(plan)
            for price in plan.metered:
                if price.metric not in done:
                    done.add(price.metric)
                    await self._meter(plan, price.metric, price.price)

    async def open_portal(self, *, with_plans: bool) -> None:
        """Let customers pay, look and leave in Stripe's portal, and change plans if wanted."""
        spec = PortalSpec(self._catalog.name, dict(self._plans) if with_plans else {})
        put = await self._stripe.put_portal(spec)
        if put.outcome != "kept":
            self.outcome.made.append(f"portal configuration {put.id} ({put.outcome})")
        self.outcome.environment["STRIPE_PORTAL_CONFIGURATION"] = put.id

    async def listen(self, url: str) -> None:
        """Have us told of every event that is handled, in the shape that we know."""
        found = await self._stripe.find_endpoint(url)
        if found is None:
            made = await self._stripe.create_endpoint(url, EVENTS, api_version=API_VERSION)
            self._tell_secret(made)
            self.outcome.made.append(f"webhook endpoint {made.id} → {url}")
        elif set(found.events) != set(EVENTS):
            await self._stripe.change_endpoint(found.id, EVENTS)
            self.outcome.made.append(f"events of webhook endpoint {found.id}")
        try:
            await self._listen_thin(url)
        except (StripeMissing, StripeRefused):
            self.outcome.notes.append(
                "This account takes no event destination; meter events that do not count will"
                f" not be told. Add one by hand for {', '.join(THIN_EVENTS)}."
            )

    async def _listen_thin(self, url: str) -> None:
        found = await self._stripe.find_destination(url)
        if found is None:
            made = await self._stripe.create_destination(url, THIN_EVENTS)
            self._tell_secret(made)
            self.outcome.made.append(f"event destination {made.id} → {url}")
        elif set(found.events) != set(THIN_EVENTS):
            await self._stripe.change_destination(found.id, THIN_EVENTS)
            self.outcome.made.append(f"events of destination {found.id}")

    def _tell_secret(self, listener: Listener) -> None:
        if listener.secret is not None:
            self.outcome.secrets.append(listener.secret)

    async def _sell_plan(self, plan: Plan) -> None:
        for price in plan.prices:
            name = f"STRIPE_PRICE_{plan.key.upper()}"
            name += "_YEARLY" if price.interval == "year" else ""
            if price.money is None:
                self.outcome.notes.append(
                    f"{name}: the catalog leaves the amount to Stripe; make the price there."
                )
            elif price.money:
                product = await self._product(plan.key, plan.name)
                spec = PriceSpec(
                    lookup_key=f"{self._catalog.name}:{plan.key}:{price.interval}",
                    product_id=product,
                    currency=price.money.currency.lower(),
                    interval=price.interval.value,
                    unit_amount=Decimal(price.money.minor),
                )
                price_id = await self._price(spec)
                self.outcome.environment[name] = price_id
                self._plans[product] = (*self._plans.get(product, ()), price_id)

    async def _meter(self, plan: Plan, metric: str, rated: UsagePrice | None) -> None:
        limit = plan.limits.get(metric)
        if limit is not None and limit.policy is LimitPolicy.OVERAGE:
            self.outcome.notes.append(f"{metric}: billed on invoices of our own, not by Stripe.")
            return
        meter = await self._known_meter(metric)
        product = await self._product(f"metered_{metric}", f"{plan.name}: {metric}")
        currency = next(
            (p.money.currency.lower() for p in plan.prices if p.money is not None), "usd"
        )
        spec = _metered_spec(
            f"{self._catalog.name}:metered:{metric}",
            product,
            currency,
            meter,
            rated if metric not in self._metered else PerUnitPrice(self._metered[metric]),
        )
        name = f"STRIPE_METERED_{metric.upper()}"
        if spec is not None:
            self.outcome.environment[name] = await self._price(spec)
            return
        known = await self._stripe.find_price(f"{self._catalog.name}:metered:{metric}")
        if known is not None:
            self.outcome.environment[name] = known.id
            return
        self.outcome.notes.append(
            f"{name}: the catalog has no price for {metric}; run again with, for example,"
            f" --metered {metric}=0.0003 (minor units for each)."
        )

    async def _known_meter(self, metric: str) -> StripeMeter:
        found = await self._stripe.find_meter(metric)
        if found is None:
            found = await self._stripe.create_meter(metric, metric.replace("_", " ").capitalize())
            self.outcome.made.append(f"meter {found.id} ({metric})")
        if found.formula != "sum":
            raise SetupImpossible(
                f"the meter {found.id} of the event {metric} counts by '{found.formula}' and is"
                " to sum up; deactivate it or rename its event"
            )
        return found

    async def _product(self, key: str, name: str) -> str:
        product_id = f"{self._catalog.name}_{key}"
        if await self._stripe.put_product(product_id, name):
            self.outcome.made.append(f"product {product_id}")
        return product_id

    async def _price(self, spec: PriceSpec) -> str:
        found = await self._stripe.find_price(spec.lookup_key)
        if found is not None and matches(found, spec):
            return found.id
        made = await self._stripe.create_price(spec)
        self.outcome.made.append(f"price {made} ({spec.lookup_key})")
        if found is not None:
            self.outcome.notes.append(
                f"{spec.lookup_key} has changed: subscriptions that have {found.id} keep it, new"
                f" ones pay {made}."
            )
        return made


def _metered_spec(
    lookup_key: str, product: str, currency: str, meter: StripeMeter, price: UsagePrice | None
) -> PriceSpec | None:
    """The price as Stripe has it; None for one that it cannot say, or that is not known."""
    bare = PriceSpec(lookup_key, product, currency, "month", meter_id=meter.id)
    match price:
        case PerUnitPrice():
            return replace(bare, unit_amount=price.unit_amount)
        case GraduatedPrice() | VolumePrice():
            mode = "graduated" if isinstance(price, GraduatedPrice) else "volume"
            return replace(bare, tiers=_tiers(price.tiers), tiers_mode=mode)
        case PackagePrice() if price.size == int(price.size) and not price.free_units:
            return replace(bare, unit_amount=price.amount, package_size=int(price.size))
        case _:
            return None


def _tiers(tiers: tuple[Tier, ...]) -> tuple[TierSpec, ...]:
    return tuple(
        TierSpec(None if t.up_to is None else int(t.up_to), t.unit_amount, t.flat_amount)
        for t in tiers
    )
