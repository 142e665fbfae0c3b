"""The price book in the database: seeded once, added to with a trace, never changed."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import URL, select, text

from app.audit.models import PlatformAuditEntry
from app.kernel.clock import ManualClock
from app.kernel.ids import OrganizationId, new_id
from app.pricing.domain import NewPrice, PriceSource, Role, Tokens
from app.pricing.errors import PriceExists
from app.pricing.service import PriceService
from tests.support.service import Service, running

MILLION = Tokens(input=1_000_000)


async def test_two_processes_seed_the_book_once(fresh_url: URL, clock: ManualClock) -> None:
    async with running(fresh_url, clock) as one, running(fresh_url, clock) as two:
        await asyncio.gather(*(each.services[PriceService].open() for each in (one, two) * 4))
        async with one.work.begin_platform() as session:
            counted = await session.scalar(text("select count(*) from llm_prices"))
            version = await session.scalar(text("select version from price_book_state"))
    assert (counted, version) == (14, 1)


async def test_a_price_holds_from_its_instant_and_in_every_process(
    fresh_url: URL, clock: ManualClock
) -> None:
    async with running(fresh_url, clock) as one, running(fresh_url, clock) as two:
        new = NewPrice("OpenAI", "GPT-4o", Role.INPUT, Decimal("2.00"))
        (added,) = await one.services[PriceService].add([new])
        assert (added.provider, added.model, added.effective_from) == (
            "openai",
            "gpt-4o",
            clock.now(),
        )
        for service in (one, two):
            prices = service.services[PriceService]
            before = clock.now() - timedelta(seconds=1)
            cost, _ = await prices.estimate(None, "openai", "gpt-4o", MILLION, before)
            assert cost == Decimal("2.5")
            cost, quote = await prices.estimate(None, "openai", "gpt-4o", MILLION, clock.now())
            assert cost == Decimal(2)
            assert quote is not None
            assert added.id in quote.row_ids
        async with one.work.begin_platform() as session:
            entry = await session.scalar(
                select(PlatformAuditEntry).where(PlatformAuditEntry.action == "prices.added")
            )
        assert entry is not None
        assert entry.target == "openai/gpt-4o"
        assert entry.after is not None
        assert entry.after["per_million"] == "2"


async def test_the_same_price_again_is_nothing_new_and_another_is_refused(
    service: Service,
) -> None:
    prices = service.services[PriceService]
    at = service.clock.now()
    model = f"model-{new_id().hex}"
    first = NewPrice("acme", model, Role.OUTPUT, Decimal("1.5"), at)
    assert await prices.add([first]) == await prices.add([first])
    with pytest.raises(PriceExists):
        await prices.add(
            [
                NewPrice("acme", model, Role.INPUT, Decimal(1), at),
                NewPrice("acme", model, Role.OUTPUT, Decimal("1.6"), at),
            ]
        )
    cost, _ = await prices.estimate(None, "acme", model, MILLION, at)
    assert cost is None, "all or none"


async def test_an_override_is_for_its_organization(service: Service) -> None:
    prices = service.services[PriceService]
    ours, theirs = OrganizationId(new_id()), OrganizationId(new_id())
    await prices.add(
        [NewPrice("openai", "gpt-4o", Role.INPUT, Decimal("0.5"), organization_id=ours)]
    )
    cost, quote = await prices.estimate(ours, "openai", "gpt-4o", MILLION, None)
    assert (cost, quote and quote.source) == (Decimal("0.5"), PriceSource.OVERRIDE)
    cost, quote = await prices.estimate(theirs, "openai", "gpt-4o", MILLION, None)
    assert (cost, quote and quote.source) == (Decimal("2.5"), PriceSource.BOOK)
    assert any(row.organization_id == ours for row in await prices.list_for_organization(ours))
    assert all(row.organization_id is None for row in await prices.list_for_organization(theirs))
