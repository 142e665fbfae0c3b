"""A service that sells through a staged Stripe, in a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import URL

from app.gateways.stripe.gateway import StripeGateway
from app.gateways.stripe.payments import PaymentsGateway
from app.infra.http.provide import Services
from app.kernel.clock import ManualClock
from app.kernel.ids import new_id
from tests.conftest import START
from tests.convergence.history import StagedStripe
from tests.convergence.listening import Listener
from tests.features.subscriptions.conftest import AMOUNTS
from tests.support import database
from tests.support.service import running
from tests.support.stripe_account import PRICES
from tests.support.stripe_events import SECRET


@pytest.fixture
async def listener(postgres: URL, database_url: URL) -> AsyncIterator[Listener]:
    name = f"{database.TEMPLATE}_{new_id().hex}"
    url = await database.clone(postgres, name)
    clock = ManualClock(START)
    stripe = StagedStripe(clock, AMOUNTS)

    def replace(services: Services) -> None:
        services.add(StripeGateway, stripe)  # type: ignore[type-abstract]
        services.add(PaymentsGateway, stripe)  # type: ignore[type-abstract]

    settings: dict[str, Any] = {"stripe_webhook_secrets": (SecretStr(SECRET),), **PRICES}
    async with running(url, clock, replace=replace, **settings) as service:
        yield Listener(service, stripe)
    await database.drop(postgres, name)
