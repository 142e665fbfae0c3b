"""Which Stripe a process talks to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import structlog

from app.gateways.stripe.collection import CollectionGateway
from app.gateways.stripe.connection import StripeConnection
from app.gateways.stripe.coupons import CouponsGateway
from app.gateways.stripe.credit_notes import CreditNotesGateway
from app.gateways.stripe.gateway import StripeGateway
from app.gateways.stripe.history import HistoryGateway
from app.gateways.stripe.live import LiveStripe
from app.gateways.stripe.live_collection import LiveCollection
from app.gateways.stripe.live_coupons import LiveCoupons
from app.gateways.stripe.live_credit_notes import LiveCreditNotes
from app.gateways.stripe.live_history import LiveHistory
from app.gateways.stripe.live_metering import LiveMetering
from app.gateways.stripe.live_payments import LivePayments
from app.gateways.stripe.live_top_ups import LiveTopUps
from app.gateways.stripe.metering import MeteringGateway
from app.gateways.stripe.payments import PaymentsGateway
from app.gateways.stripe.top_ups import TopUpGateway
from app.gateways.stripe.unconfigured import unconfigured_stripe
from app.infra.http.provide import Services
from app.infra.lifecycle import Lifecycle
from app.infra.settings import Settings

GATEWAYS: Mapping[type, Callable[[StripeConnection], object]] = {
    StripeGateway: LiveStripe,
    PaymentsGateway: LivePayments,
    MeteringGateway: LiveMetering,
    CouponsGateway: LiveCoupons,
    HistoryGateway: LiveHistory,
    CollectionGateway: LiveCollection,
    TopUpGateway: LiveTopUps,
    CreditNotesGateway: LiveCreditNotes,
}
"""What is asked of Stripe, by topic, and who asks it."""

log = structlog.get_logger(__name__)


def register(services: Services) -> None:
    """The gateways that the settings ask for, unless a test brought its own."""
    settings = services[Settings]
    lifecycle = services[Lifecycle]
    if settings.stripe_secret_key is None:
        if StripeGateway not in services:
            log.info("stripe.not_configured")
            lifecycle.parts["stripe"] = "off"
        for kind in GATEWAYS:
            if kind not in services:
                services.add(kind, unconfigured_stripe())
        return
    connection = StripeConnection(
        settings.stripe_secret_key.get_secret_value(), api_base=settings.stripe_api_base
    )
    lifecycle.add(connection.start, connection.stop)
    lifecycle.parts["stripe"] = "sandbox" if settings.stripe_api_base else "real"
    portal = settings.stripe_portal_configuration
    live_stripe = partial(LiveStripe, portal_configuration=portal)
    gateways: dict[type, Callable[[StripeConnection], object]] = {**GATEWAYS}
    gateways[StripeGateway] = live_stripe
    for kind, live in gateways.items():
        if kind not in services:
            services.add(kind, live(connection))
