"""Every order of every story ends as the story told in order does."""

from __future__ import annotations

import itertools
import os
import random
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.convergence.listening import Listener
from tests.convergence.stories import STORIES, Story
from tests.convergence.walks import End, Hearing
from tests.support.long import EVERYTHING
from tests.support.summary import HEARD, SUMMARY

SEED = int(os.environ.get("CONVERGENCE_SEED", "20261121"))
ALL_ORDERS_UP_TO = 7
"""Of these `make slow` hears all orders, and more of the rest; that takes minutes."""
ORDERS = 150 if EVERYTHING else 12
ENTANGLED = 1_500 if EVERYTHING else 16
"""Both per story."""


def _check(story: Story, hearing: Hearing, expected: End, found: End, how: str) -> None:
    assert hearing.essence(found.state) == hearing.essence(expected.state), how
    once = {fact: times for fact, times in found.announced.items() if times > 1}
    assert not once, f"announced more than once: {once}, {how}"
    receipts = {fact for fact in found.announced if fact.startswith("InvoicePaid")}
    assert receipts == {f for f in expected.announced if f.startswith("InvoicePaid")}, how


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
async def test_every_order_ends_alike(
    story: Story, listener: Listener, record_property: Callable[[str, object], None]
) -> None:
    began = time.monotonic()
    chance = random.Random(f"{SEED} {story.name}")
    count: Counter[str] = Counter()
    async with listener.hearing(story) as hearing:
        expected = await hearing.in_order()
        _as_written(story, hearing, expected)
        numbers = range(len(hearing.events))
        orders = (
            itertools.permutations(numbers)
            if EVERYTHING and len(numbers) <= ALL_ORDERS_UP_TO
            else (chance.sample(numbers, len(numbers)) for _ in range(ORDERS))
        )
        for order in orders:
            for hears_latest in (False, True):
                found = await hearing.permuted(order, chance, repeats=3, hears_latest=hears_latest)
                _check(story, hearing, expected, found, f"{order} {hears_latest=} {SEED=}")
                count["orders"] += 1
        for number in range(ENTANGLED):
            seed = f"{SEED} {story.name} {number}"
            found = await hearing.entangled(random.Random(seed))
            _check(story, hearing, expected, found, f"{seed=}")
            count["entangled"] += 1
            if number % 50 == 0:
                again = await hearing.heard_again(found)
                assert hearing.essence(again.state) == hearing.essence(found.state), seed
                assert not again.announced, (seed, again.announced)
        graph = hearing.graph
    record_property(HEARD, count.total())
    record_property(
        SUMMARY,
        f"{story.name}: {len(hearing.events)} events, {dict(count)}, {len(graph.states)} states,"
        f" {graph.made} steps on Postgres, {time.monotonic() - began:.1f} s, seed {SEED}",
    )


def _as_written(story: Story, hearing: Hearing, end: End) -> None:
    """The order in which it happened ends as the story says, or all the rest is worth nothing."""
    rows = hearing.graph.states[end.state].rows
    [organization] = rows["organizations"]
    [subscription] = rows["subscriptions"]
    assert (subscription["status"], organization["plan"]) == (story.status, story.plan)
    assert len(rows["paid_periods"]) == story.periods
    owed = [row for row in rows["invoice_collections"] if row["first_failed_at"]]
    assert len([row for row in owed if row["settled_at"] is None]) == story.failures
    paid = [row for row in rows["invoices"] if row["status"] == "paid"]
    assert len(paid) == story.receipts
    if story.money is not None:
        [charge] = rows["charges"]
        [thing] = [*rows["refunds"], *rows["disputes"]]
        assert (
            thing["status"],
            organization["is_disputed"],
            charge["amount_refunded"],
        ) == story.money


@pytest.mark.parametrize("name", ["D1", "F"])
async def test_without_tickets_some_orders_would_end_wrong(name: str, listener: Listener) -> None:
    """The negative control: if the last answer written counts, whenever it was asked for."""
    [story] = [each for each in STORIES if each.name.startswith(f"{name} ")]
    async with listener.hearing(story) as hearing:
        expected = hearing.essence((await hearing.in_order()).state)
        ends = [
            hearing.essence((await hearing.entangled(random.Random(n), with_tickets=False)).state)
            for n in range(200)
        ]
    assert any(end != expected for end in ends)
