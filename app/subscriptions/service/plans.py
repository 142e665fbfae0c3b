"""What can be bought of the catalog, and by which Stripe prices."""

from __future__ import annotations

from app.catalog.domain import Catalog, Plan
from app.gateways.stripe.gateway import ItemChange, OrderedPrice, StripeSubscription
from app.subscriptions.domain import Price
from app.subscriptions.errors import PlanNotForSale, UnknownPlan, UnmappedPrice
from app.subscriptions.service.copying import coming_phase, plan_item


def ordered_prices(catalog: Catalog, key: str, interval: str) -> tuple[OrderedPrice, ...]:
    """The plan's price, once, and its metered prices, which have no quantity.

    Raises `UnknownPlan` or `PlanNotForSale`.
    """
    plan = known_plan(catalog, key)
    price_id = catalog.price_id(key, interval)
    if price_id is None:
        raise PlanNotForSale(plan=key, interval=interval)
    return (OrderedPrice(price_id), *(OrderedPrice(metered, None) for metered in _metered(plan)))


def known_plan(catalog: Catalog, key: str) -> Plan:
    """Raises `UnknownPlan`."""
    plan = catalog.plan(key)
    if plan is None:
        raise UnknownPlan(plan=key)
    return plan


def current_price(catalog: Catalog, subscription: StripeSubscription) -> Price:
    """What a subscription bills now. Raises `UnmappedPrice`."""
    item = plan_item(subscription, catalog)
    sold = catalog.plan_for_price(item.price_id) if item is not None else None
    if sold is None:
        raise UnmappedPrice
    return price_of(catalog, *sold)


def coming_plan(catalog: Catalog, subscription: StripeSubscription) -> tuple[str, str] | None:
    """The plan and interval that a schedule in force brings at the end of the period."""
    coming = coming_phase(subscription)
    sold = [catalog.plan_for_price(price) for price in coming.price_ids] if coming else []
    return next((one for one in sold if one is not None), None)


def price_of(catalog: Catalog, key: str, interval: str) -> Price:
    """Raises `UnknownPlan`."""
    return Price(key, interval, known_plan(catalog, key).rank)


def item_changes(
    catalog: Catalog, subscription: StripeSubscription, wanted: Price
) -> tuple[ItemChange, ...]:
    """How the items of *subscription* become those of *wanted*.

    The plan's item is replaced wherever it stands; metered items that the wanted plan does not
    have go, and those that are missing come. Items of no plan here are left alone.
    """
    item = plan_item(subscription, catalog)
    if item is None:
        raise UnmappedPrice
    fee, *metered = ordered_prices(catalog, wanted.plan, wanted.interval)
    changes = [ItemChange(item_id=item.id, price_id=fee.price_id, quantity=1)]
    ours = {price for plan in catalog.plans for price in _metered(plan)}
    kept = {price.price_id for price in metered}
    present = {item.price_id for item in subscription.items}
    changes += [
        ItemChange(item_id=item.id, is_removed=True)
        for item in subscription.items
        if item.price_id in ours - kept
    ]
    changes += [
        ItemChange(price_id=price.price_id) for price in metered if price.price_id not in present
    ]
    return tuple(changes)


def _metered(plan: Plan) -> list[str]:
    return [price.stripe_price_id for price in plan.metered if price.stripe_price_id is not None]
