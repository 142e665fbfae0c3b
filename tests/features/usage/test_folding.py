"""Old hours become days, and nobody who asks for sums can tell."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from app.kernel.periods import Period
from app.pricing.domain import NewPrice, TokenRole
from app.pricing.service import PriceService
from app.usage.errors import FinerThanKept
from app.usage.kept import DAY, HOUR, folded_before, hours_kept_from, whole_as_kept, widened_as_kept
from app.usage.repository import folding
from app.usage.service.corrections import UsageCorrections
from app.usage.service.costs import CostReports
from app.usage.service.folding import Folding
from app.usage.service.usage import UsageService
from tests.factories.people import Owner, an_owner
from tests.support.locks import waiting
from tests.support.recount import broken
from tests.support.service import Service

BATCH = "/api/v1/usage/events/batch"
LATER = timedelta(days=120)
FROM = datetime(2026, 11, 17, 10, 20, tzinfo=UTC)
TO = datetime(2026, 11, 20, 22, 7, 3, tzinfo=UTC)


async def an_old_customer(service: Service) -> Owner:
    """Four days with events in many hours, a long time ago."""
    owner = await an_owner(service, "enterprise")
    events = [
        {
            "id": f"e{number}",
            "type": ("debate", "inference", "api_call")[number % 3],
            "provider": "openai",
            "model": ("gpt-4o", "gpt-4o-mini", "once-unheard-of")[number % 3],
            "tokens_in": number,
            "tokens_out": 2 * number,
            "agent": f"agent-{number % 2}",
            "workspace": "w",
            "occurred_at": (FROM + timedelta(minutes=29 * number)).isoformat(),
        }
        for number in range(170)
    ]
    answer = await owner.client.post(BATCH, json={"events": events})
    assert answer.json()["errors"] == 0, answer.text
    service.clock.advance(LATER)
    return owner


async def everything(service: Service, owner: Owner) -> list[Any]:
    """Sums of whole and cut stretches, by everything they can be asked by."""
    usage, organization_id = service.services[UsageService], owner.organization_id
    costs = service.services[CostReports]
    found: list[Any] = []
    for since, until in (
        (FROM, TO),
        (FROM.replace(hour=0, minute=0), TO + timedelta(days=30)),
        (FROM + timedelta(hours=5), FROM + timedelta(hours=6)),
        (FROM.replace(hour=23), FROM.replace(hour=3) + timedelta(days=1)),
    ):
        found.append(await usage.summary(organization_id, since, until))
        found.append(await costs.breakdown(organization_id, since, until))
        found += [
            await costs.report(organization_id, since, until, granularity, "model")
            for granularity in ("daily", "weekly", "monthly")
        ]
        found += [
            await usage.timeseries(organization_id, since, until, granularity, group_by)
            for granularity in ("day", "week", "month")
            for group_by in (None, "type", "model", "agent")
        ]
    return found


async def hours_of(service: Service, owner: Owner) -> list[datetime]:
    async with service.work.begin(owner.organization_id) as session:
        rows = await session.scalars(
            text("select distinct hour from usage_hourly where organization_id = :id order by 1"),
            {"id": owner.organization_id},
        )
        return [each.astimezone(UTC) for each in rows]


async def test_sums_are_the_same_before_and_after(service: Service) -> None:
    owner = await an_old_customer(service)
    before = await everything(service, owner)
    assert before[0].total.events > 100
    assert len(await hours_of(service, owner)) > 60
    assert await service.services[Folding].fold_all() >= 4
    assert await hours_of(service, owner) == [
        datetime(2026, 11, day, tzinfo=UTC) for day in range(17, 21)
    ]
    assert await everything(service, owner) == before
    assert await broken(service, owner.organization_id) == {}
    assert await service.services[Folding].fold_all() == 0
    assert await everything(service, owner) == before


async def test_hours_that_are_gone_are_refused_and_recent_ones_stay(service: Service) -> None:
    owner = await an_old_customer(service)
    await service.services[Folding].fold_all()
    usage = service.services[UsageService]
    now = service.clock.now()
    with pytest.raises(FinerThanKept) as refused:
        await usage.timeseries(owner.organization_id, FROM, TO, "hour", None)
    assert (
        refused.value.message == "Usage before 2026-12-21 is kept by day; ask for whole days of it."
    )
    kept = hours_kept_from(now)
    _, points = await usage.timeseries(owner.organization_id, kept, now, "hour", None)
    assert points == []


async def test_a_young_day_is_left_alone(service: Service) -> None:
    owner = await an_owner(service)
    await owner.client.post(BATCH, json={"events": [{"id": "a", "type": "debate"}]})
    first = await hours_of(service, owner)
    service.clock.advance(timedelta(days=91))
    await service.services[Folding].fold_recent()
    assert await hours_of(service, owner) == first
    service.clock.advance(timedelta(days=1))
    await service.services[Folding].fold_recent()
    assert await hours_of(service, owner) == [first[0].replace(hour=0)]


async def test_late_voids_prices_and_backfills_move_what_is_folded(service: Service) -> None:
    owner = await an_old_customer(service)
    folding_, corrections = service.services[Folding], service.services[UsageCorrections]
    await folding_.fold_all()
    for name in ("e3", "e5"):
        await corrections.void(owner.organization_id, name, "late")
    book = service.services[PriceService]
    await book.add(
        [
            NewPrice(
                "openai", "once-unheard-of", role, Decimal(7), datetime(2026, 1, 1, tzinfo=UTC)
            )
            for role in (TokenRole.INPUT, TokenRole.OUTPUT)
        ]
    )
    await corrections.price_waiting()
    assert await broken(service, owner.organization_id) == {}
    before = await everything(service, owner)
    assert before[0].total.unpriced == 0
    # A void writes to its own hour; the next run of the whole takes that in as well.
    assert len(await hours_of(service, owner)) > 4
    await folding_.fold_all()
    assert len(await hours_of(service, owner)) == 4
    assert await broken(service, owner.organization_id) == {}
    assert await everything(service, owner) == before


async def a_void_under_way(
    service: Service, owner: Owner, under_way: asyncio.Event, go: asyncio.Event
) -> None:
    """What a void does to the hours, in a transaction that ends when it is told."""
    async with service.work.begin(owner.organization_id) as session:
        await session.execute(
            text(
                "update usage_events set voided_at = now() where organization_id = :id"
                " and event_key in ('e4', 'e50')"
            ),
            {"id": owner.organization_id},
        )
        for sign in ("e4", "e50"):
            await session.execute(
                text(
                    "insert into usage_hourly as h select organization_id,"
                    " date_trunc('hour', occurred_at, 'UTC'), event_type, provider, model,"
                    " -1, -quantity, -tokens_in, -tokens_out, -cached_tokens, -coalesce(cost_usd, 0),"
                    " case when cost_usd is null then -1 else 0 end"
                    " from usage_events where organization_id = :id and event_key = :key"
                    " on conflict (organization_id, hour, event_type, provider, model) do update set"
                    " events = h.events + excluded.events, quantity = h.quantity + excluded.quantity,"
                    " tokens_in = h.tokens_in + excluded.tokens_in,"
                    " tokens_out = h.tokens_out + excluded.tokens_out,"
                    " cached_tokens = h.cached_tokens + excluded.cached_tokens,"
                    " cost_usd = h.cost_usd + excluded.cost_usd,"
                    " unpriced = h.unpriced + excluded.unpriced"
                ),
                {"id": owner.organization_id, "key": sign},
            )
        under_way.set()
        await go.wait()


HOURS = "usage.hours_are_their_events"


@pytest.mark.parametrize("careful", [True, False])
async def test_a_void_beside_a_fold_is_not_lost(
    service: Service, monkeypatch: pytest.MonkeyPatch, careful: bool
) -> None:
    """Without care, a fold adds up what it read before and deletes what has changed since."""
    if not careful:
        stretch = "organization_id = :organization_id and hour >= :since and hour < :until"
        monkeypatch.setattr(folding, "_LOCK", f"select 1 from usage_hourly where {stretch}")
        monkeypatch.setattr(
            folding,
            "_FOLD",
            folding._FOLD.replace(
                "with hours as (\n    delete from usage_hourly where",
                "with gone as (\n    delete from usage_hourly where",
            ).replace(
                "returning *\n)",
                ") , hours as (select * from usage_hourly where "
                f"{stretch} and hour <> date_trunc('day', hour, 'UTC'))",
            ),
        )
    owner = await an_old_customer(service)
    under_way, go = asyncio.Event(), asyncio.Event()
    void = asyncio.create_task(a_void_under_way(service, owner, under_way, go))
    await under_way.wait()
    fold = asyncio.create_task(service.services[Folding].fold_all())
    await waiting(service, 1, fold)
    assert not fold.done()
    go.set()
    await asyncio.gather(void, fold)
    wrong = await broken(service, owner.organization_id)
    assert (HOURS in wrong) is not careful


async def test_flushes_voids_and_folds_side_by_side(service: Service) -> None:
    owner = await an_old_customer(service)
    folds, corrections = service.services[Folding], service.services[UsageCorrections]
    await asyncio.gather(
        *(folds.fold_all() for _ in range(3)),
        *(corrections.void(owner.organization_id, f"e{n}", "late") for n in range(0, 60, 3)),
    )
    await folds.fold_all()
    assert await broken(service, owner.organization_id) == {}
    assert len(await hours_of(service, owner)) == 4


INSTANTS = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))


@given(INSTANTS, st.timedeltas(timedelta(seconds=1), timedelta(days=300)), INSTANTS)
def test_a_stretch_is_cut_into_pieces_that_make_it_up(
    start: datetime, length: timedelta, now: datetime
) -> None:
    period = Period(start, start + length)
    stretches, ends = whole_as_kept(period, now)
    pieces = sorted([*stretches, *ends], key=lambda each: each.start)
    assert [pieces[0].start, pieces[-1].end] == [period.start, period.end]
    assert all(one.end == two.start for one, two in pairwise(pieces))
    kept = hours_kept_from(now)
    assert folded_before(now) < kept
    for each in stretches:
        unit = DAY if each.start < kept else HOUR
        assert (each.start - kept) % unit == (each.end - kept) % unit == timedelta(0)
    wide = widened_as_kept(period, now)
    assert whole_as_kept(wide, now)[1] == []
    assert wide.start <= period.start
    assert wide.end >= period.end
