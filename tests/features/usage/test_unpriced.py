"""Operators hear of a model without a price: once a day, each of them, while it has none."""

import asyncio
from datetime import timedelta
from decimal import Decimal

from sqlalchemy import URL

from app.kernel.clock import ManualClock
from app.pricing.domain import NewPrice, TokenRole
from app.pricing.service import PriceService
from app.usage.service.unpriced import UnpricedAlerts
from app.users.service import UserService
from tests.factories.operators import an_operator
from tests.factories.people import Owner, an_owner
from tests.support.service import Service, running


async def use(owner: Owner, name: str, model: str) -> None:
    answer = await owner.client.post(
        "/api/v1/usage/events",
        json={"id": name, "type": "tokens", "provider": "acme", "model": model, "tokens_in": 5},
    )
    assert answer.json()["cost_usd"] is None


def told(service: Service) -> list[tuple[str, str]]:
    return sorted(
        (mail.to, mail.subject) for mail in service.mail.sent if mail.subject.startswith("No price")
    )


async def test_each_operator_is_told_once_a_day_while_it_has_no_price(
    fresh_url: URL, clock: ManualClock
) -> None:
    async with running(fresh_url, clock) as service, running(fresh_url, clock) as other:
        for _ in range(2):
            await an_operator(service)
        operators = [each.email for each in await service.services[UserService].list_operators()]
        one, two = await an_owner(service), await an_owner(service)
        await use(one, "a", "nova")
        await use(one, "b", "nova")
        await use(two, "a", "nova")
        await use(two, "b", "vega")
        alerts = [each.services[UnpricedAlerts] for each in (service, other)]
        # Two workers at once, and again: three pairs of organization and model.
        found = await asyncio.gather(*(each.announce() for each in alerts * 3))
        assert sum(found) == 3
        await service.drain()
        expected = sorted(
            (email, f"No price for acme/{model}")
            for email in operators
            for model in ("nova", "nova", "vega")
        )
        assert told(service) == expected
        clock.advance(timedelta(hours=6))
        await use(one, "c", "nova")
        assert await alerts[0].announce() == 0
        clock.advance(timedelta(hours=18))
        prices = [NewPrice("acme", "nova", TokenRole.INPUT, Decimal(1))]
        await service.services[PriceService].add(prices)
        await service.drain()
        assert await alerts[1].announce() == 1, "vega, which still has none"
        await service.drain()
        assert len(told(service)) == 3 * 2 + 2
