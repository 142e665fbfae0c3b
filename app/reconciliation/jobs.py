"""Reconciliation by the hour."""

from __future__ import annotations

from app.gateways.stripe.errors import StripeNotConfigured
from app.infra.http.provide import Services
from app.infra.jobs.worker import Payload
from app.reconciliation.service import ReconciliationService


async def run(payload: Payload, services: Services) -> None:
    try:
        await services[ReconciliationService].reconcile("schedule")
    except StripeNotConfigured:
        return  # nothing to compare with


JOBS = {"reconciliation.run": run}
