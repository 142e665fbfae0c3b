"""Which Stripe a process talks to."""

from __future__ import annotations

import structlog

from app.gateways.stripe.connection import StripeConnection
from app.gateways.stripe.gateway import StripeGateway
from app.gateways.stripe.live import LiveStripe
from app.gateways.stripe.unconfigured import unconfigured_stripe
from app.infra.http.provide import Services
from app.infra.lifecycle import Lifecycle
from app.infra.settings import Settings

log = structlog.get_logger(__name__)


def register(services: Services) -> None:
    """The gateway that the settings ask for, unless a test brought its own."""
    if StripeGateway in services:
        return
    settings = services[Settings]
    lifecycle = services[Lifecycle]
    if settings.stripe_secret_key is None:
        log.info("stripe.not_configured")
        lifecycle.parts["stripe"] = "off"
        services.add(StripeGateway, unconfigured_stripe())  # type: ignore[type-abstract]
        return
    connection = StripeConnection(
        settings.stripe_secret_key.get_secret_value(), api_base=settings.stripe_api_base
    )
    lifecycle.add(connection.start, connection.stop)
    lifecycle.parts["stripe"] = "sandbox" if settings.stripe_api_base else "real"
    services.add(StripeGateway, LiveStripe(connection))  # type: ignore[type-abstract]
