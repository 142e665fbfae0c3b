"""Stripe's deliveries, which come in crowds when a month begins."""

from __future__ import annotations

from app.infra.http.lane import HotAnswer, HotOperation, HotRequest
from app.infra.http.provide import Services
from app.webhooks.service.intake import StripeIntake

_RECEIVED = b'{"received":true}'


async def _receive(services: Services, request: HotRequest) -> HotAnswer:
    """Take one event; answer after its commit."""
    signature = request.headers.get(b"stripe-signature")
    await services[StripeIntake].receive(
        request.body, None if signature is None else signature.decode("latin-1")
    )
    return 200, _RECEIVED


RECEIVE = HotOperation(None, _receive, is_light=True)
"""Whoever signs it may send it; nobody need be known."""
