"""The price book in the database: seeded once, added to with a trace, never changed."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import URL, select, text

from app.audit.models import AuditEntry, PlatformAuditEntry
from app.kernel.clock import ManualClock
from app.kernel.ids import OrganizationId, new_id
from app.pricing.domain import (
    FROM_THE_BEGINNING,
    NewMarkup,
    NewPrice,
    PriceRow,
    PriceSource,
    TokenRole,
    Tokens,
)
from app.pricing.errors import MarkupExists, PriceExists, PriceNeedsConfirmation
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
        new = NewPrice("OpenAI", "GPT-4o", TokenRole.INPUT, Decimal("2.00"))
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
    first = NewPrice("acme", model, TokenRole.OUTPUT, Decimal("1.5"), at)
    assert await prices.add([first]) == await prices.add([first])
    with pytest.raises(PriceExists):
        await prices.add(
            [
                NewPrice("acme", model, TokenRole.INPUT, Decimal(1), at),
                NewPrice("acme", model, TokenRole.OUTPUT, Decimal("1.6"), at),
            ]
        )
    cost, _ = await prices.estimate(None, "acme", model, MILLION, at)
    assert cost is None, "all or none"


async def test_an_override_is_for_its_organization(service: Service) -> None:
    prices = service.services[PriceService]
    ours, theirs = OrganizationId(new_id()), OrganizationId(new_id())
    await prices.add(
        [NewPrice("openai", "gpt-4o", TokenRole.INPUT, Decimal("0.5"), organization_id=ours)]
    )
    cost, quote = await prices.estimate(ours, "openai", "gpt-4o", MILLION, None)
    assert (cost, quote and quote.source) == (Decimal("0.5"), PriceSource.OVERRIDE)
    cost, quote = await prices.estimate(theirs, "openai", "gpt-4o", MILLION, None)
    assert (cost, quote and quote.source) == (Decimal("2.5"), PriceSource.BOOK)
    (gpt,) = await prices.in_force(ours, "openai", "gpt-4o")
    assert gpt.quote.input is not None
    assert gpt.quote.input.per_million == Decimal("0.5")
    (gpt,) = await prices.in_force(theirs, "openai", "gpt-4o")
    assert gpt.quote.input is not None
    assert gpt.quote.input.per_million == Decimal("2.5")


async def test_the_first_price_of_a_model_prices_what_waits(service: Service) -> None:
    prices = service.services[PriceService]
    model, now = f"model-{new_id().hex}", service.clock.now()
    (first,) = await prices.add([NewPrice("acme", model, TokenRole.INPUT, Decimal(1))])
    assert first.effective_from == FROM_THE_BEGINNING
    (second,) = await prices.add([NewPrice("acme", model, TokenRole.INPUT, Decimal(2))])
    assert second.effective_from == now


async def test_a_price_that_leaps_needs_confirmation(service: Service) -> None:
    prices = service.services[PriceService]
    model = f"model-{new_id().hex}"

    async def add(price: str, *, role: TokenRole = TokenRole.INPUT, **more: Any) -> list[PriceRow]:
        row = NewPrice("acme", model, role, Decimal(price), **more)
        service.clock.advance(timedelta(seconds=1))
        return await prices.add([row])

    await add("2")
    for figure in ("20", "0.2", "0"):
        with pytest.raises(PriceNeedsConfirmation) as refused:
            await add(figure)
        assert refused.value.extra["rows"] == [
            {
                "provider": "acme",
                "model": model,
                "role": "input",
                "price_per_million": figure,
                "predecessor_per_million": "2",
            }
        ]
    for fine in ("19.999", "2", "0.201"):
        await add(fine)
    # What held before need not be a row of the same name: the price otherwise in force counts.
    ours = OrganizationId(new_id())
    with pytest.raises(PriceNeedsConfirmation):
        await add("2.01", organization_id=ours)
    slip = NewPrice("openai", "o3-mini", TokenRole.INPUT, Decimal(900), organization_id=ours)
    with pytest.raises(PriceNeedsConfirmation):
        await prices.add([slip])
    confirmed = await prices.add([slip], confirm=True)
    assert await prices.add([slip]) == confirmed, "a repeat adds nothing and asks nothing"
    # A provider's default is a guess, not a predecessor.
    await prices.add([NewPrice("openrouter", model, TokenRole.INPUT, Decimal("0.01"))])
    # Two of one call are measured by one another, and nothing of a refused call stays.
    at = service.clock.now()
    both = [
        NewPrice("acme", model, TokenRole.OUTPUT, Decimal(1), at),
        NewPrice("acme", model, TokenRole.OUTPUT, Decimal(30), at + timedelta(days=1)),
    ]
    with pytest.raises(PriceNeedsConfirmation):
        await prices.add(both)
    cost, _ = await prices.estimate(None, "acme", model, Tokens(output=1), at)
    assert cost is None


async def test_markups_are_dated_audited_and_counted_once(service: Service) -> None:
    prices = service.services[PriceService]
    ours = OrganizationId(new_id())
    start = service.clock.now()

    async def cost(provider: str, model: str) -> Decimal | None:
        at = service.clock.now()
        return (await prices.estimate(ours, provider, model, MILLION, at))[0]

    general = NewMarkup(ours, "*", "*", Decimal(10))
    added = await prices.add_markup(general)
    assert await prices.add_markup(general) == added
    with pytest.raises(MarkupExists):
        await prices.add_markup(replace(general, percent=Decimal(11)))
    assert await cost("openai", "gpt-4o") == Decimal("2.75")
    assert await cost("openai", "o3-mini") == Decimal("1.21")
    await prices.add_markup(NewMarkup(ours, "OpenAI", "GPT-4o", Decimal(-50)))
    assert await cost("openai", "gpt-4o") == Decimal("1.25")
    service.clock.advance(timedelta(hours=1))
    await prices.add(
        [NewPrice("openai", "gpt-4o", TokenRole.INPUT, Decimal(2), organization_id=ours)]
    )
    assert await cost("openai", "gpt-4o") == 2, "the later of an own price and a markup holds"
    service.clock.advance(timedelta(hours=1))
    await prices.add_markup(NewMarkup(ours, "openai", "gpt-4o", Decimal(0)))
    assert await cost("openai", "gpt-4o") == Decimal("2.5"), "0 percent ends an own price"
    before, _ = await prices.estimate(ours, "openai", "gpt-4o", MILLION, start)
    assert before == Decimal("1.25"), "what was in force then stays"
    with pytest.raises(PriceNeedsConfirmation):
        await prices.add_markup(NewMarkup(ours, "*", "*", Decimal(900)))
    async with service.work.begin(ours) as session:
        entries = (
            await session.scalars(
                select(AuditEntry)
                .where(AuditEntry.action == "prices.markup_added")
                .order_by(AuditEntry.id)
            )
        ).all()
    mine = [entry.after for entry in entries if entry.organization_id == ours]
    assert [after["percent"] for after in mine if after] == ["10", "-50", "0"]


async def test_an_alias_is_priced_like_its_model(service: Service) -> None:
    prices = service.services[PriceService]
    name = f"model-{new_id().hex}"
    await prices.set_alias("OpenAI", name, "gpt-4o")
    await prices.set_alias("openai", name, "gpt-4o")
    cost, quote = await prices.estimate(None, "openai", name, MILLION, None)
    assert (cost, quote and quote.source) == (Decimal("2.5"), PriceSource.ALIAS)
    await prices.set_alias("openai", name, "o3-mini")
    cost, quote = await prices.estimate(None, "openai", name, MILLION, None)
    assert (cost, quote and quote.source) == (Decimal("1.1"), PriceSource.PUBLIC_LIST)
    await prices.set_alias("openai", name, "gpt-4o-mini")
    cost, _ = await prices.estimate(None, "openai", name, MILLION, None)
    assert cost == Decimal("0.15")
