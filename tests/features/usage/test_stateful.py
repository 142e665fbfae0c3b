"""Whatever happens to one set of events, in whatever order: rollups, cost and quotas end as if
they had been worked out from the raw rows, and as a model says that never saw the database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import URL

from app.catalog.service import CatalogService
from app.kernel.clock import ManualClock
from app.kernel.ids import OrganizationId, new_id
from app.kernel.periods import Period
from app.organizations.service import OrganizationService
from app.pricing.domain import NewPrice, TokenRole
from app.pricing.service import PriceService
from app.usage.errors import EventConflict, EventNotFound, QuotaExceeded
from app.usage.service.corrections import UsageCorrections
from app.usage.service.ingest import UsageIngest
from app.usage.service.recount import WindowRecount
from app.usage.service.submission import Recorded
from app.usage.service.usage import UsageService
from app.usage.wire.events import read_event
from tests.factories.people import an_owner
from tests.support.long import EVERYTHING
from tests.support.recount import broken, misplaced
from tests.support.service import Service, running

T = TypeVar("T")

START = datetime(2026, 11, 21, 9, tzinfo=UTC)

CATALOG = """\
name: stateful
window: billing_period
default_plan: small
metrics:
  visits: {unit: visit, event: visit, aggregation: count}
  visitors: {unit: person, aggregation: unique, unique_field: user_id, counts: [visits]}
  peak: {unit: seat, aggregation: max}
  level: {unit: gigabyte, aggregation: latest}
  debates: {unit: debate, event: debate}
plans:
  - key: small
    name: Small
    seats: 1
    prices: [{interval: month, amount: 0}]
    limits: {visits: 6, visitors: 3, peak: 8, level: 8, debates: 12}
  - key: large
    name: Large
    seats: 1
    prices: [{interval: month, amount: 1000}]
    limits: {visits: 60, visitors: 5, peak: 80, level: 80, debates: 120}
"""

_LATE_PRICE = Decimal("3.7")
"""USD per million tokens of the model that has no price at first."""


@dataclass
class Sent:
    """What the model knows of an event that was recorded."""

    kind: str
    quantity: Decimal
    user: str | None
    tokens: int
    model: str | None
    at: datetime
    is_void: bool = False


DRAWN = st.tuples(
    st.integers(0, 11),
    st.sampled_from(["visit", "peak", "level", "debate"]),
    st.decimals(0, 10, places=2),
    st.sampled_from(["ann", "bob", "eve", "joe", None]),
    st.integers(0, 10**7),
    st.sampled_from(["gpt-4o", "late", None]),
    st.integers(0, 33 * 24 * 60),
)
"""An event: few names, so that repeats, conflicts and voids meet; times in three windows."""

WINDOWS = st.sampled_from(
    [
        None,
        Period(START - timedelta(days=20), START + timedelta(days=11)),
        Period(START - timedelta(days=4), START + timedelta(days=27)),
        Period(START - timedelta(hours=2), START + timedelta(days=30)),
    ]
)


class Usage(RuleBasedStateMachine):
    """Runs in a thread of its own; the services and their loop belong to the test."""

    services: ClassVar[list[Service]]
    loop: ClassVar[asyncio.AbstractEventLoop]

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, Sent] = {}
        self.content: dict[str, object] = {}
        self.late = f"late-{new_id().hex}"
        self.has_late_price = False
        self.organization_id: OrganizationId

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    @initialize()
    def begin(self) -> None:
        owner = self.run(an_owner(self.services[0]))
        self.organization_id = owner.organization_id

    @rule(
        drawn=st.lists(DRAWN, min_size=1, max_size=8),
        enforce=st.booleans(),
        through=st.integers(0, 1),
    )
    def send(self, drawn: list[Any], enforce: bool, through: int) -> None:
        """One batch, whose rows may repeat or contradict one another and what was sent before."""
        bodies = [self._body(each) for each in drawn]
        events = [read_event(json.dumps(body).encode(), None) for _, body in bodies]
        ingest = self.services[through].services[UsageIngest]
        answers = self.run(ingest.record(self.organization_id, events, enforce=enforce))
        for (sent, body), answer in zip(bodies, answers, strict=True):
            self._learn(sent, body, answer, enforce)

    @rule(drawn=st.lists(DRAWN, min_size=2, max_size=8, unique_by=lambda each: each[0]))
    def send_at_once(self, drawn: list[Any]) -> None:
        """Each by itself, through both processes at the same time."""
        bodies = [self._body(each) for each in drawn]

        async def all_of_them() -> list[Any]:
            return await asyncio.gather(
                *(
                    self.services[number % 2]
                    .services[UsageIngest]
                    .record(self.organization_id, [read_event(json.dumps(body).encode(), None)])
                    for number, (_, body) in enumerate(bodies * 2)
                )
            )

        answers = [answer for (answer,) in self.run(all_of_them())]
        for number, (sent, body) in enumerate(bodies):
            twice = (answers[number], answers[number + len(bodies)])
            first = next((a for a in twice if isinstance(a, Recorded) and not a.is_repeat), None)
            self._learn(sent, body, first or twice[0], False)

    @rule(names=st.lists(st.integers(0, 11), min_size=1, max_size=4), racing=st.booleans())
    def void(self, names: list[int], racing: bool) -> None:
        async def take_back() -> list[Any]:
            return await asyncio.gather(
                *(
                    self.services[number % 2]
                    .services[UsageCorrections]
                    .void(self.organization_id, f"e{name}", "test")
                    for number, name in enumerate(names * (2 if racing else 1))
                ),
                return_exceptions=True,
            )

        for answer in self.run(take_back()):
            assert not isinstance(answer, BaseException) or isinstance(answer, EventNotFound)
        for name in names:
            if f"e{name}" in self.known:
                self.known[f"e{name}"].is_void = True

    @precondition(lambda self: not self.has_late_price)
    @rule()
    def add_the_price_that_was_missing(self) -> None:
        prices = self.services[0].services[PriceService]
        since = START - timedelta(days=100)
        self.run(
            prices.add(
                [
                    NewPrice("acme", self.late, role, _LATE_PRICE, since)
                    for role in (TokenRole.INPUT, TokenRole.OUTPUT)
                ]
            )
        )
        self.run(self.services[0].services[UsageCorrections].price_waiting())
        self.has_late_price = True

    @rule(plan=st.sampled_from(["small", "large"]), window=WINDOWS, moved_by=st.integers(1, 2))
    def change_plan(self, plan: str, window: Period | None, moved_by: int) -> None:
        """In mid-window: used stays, the limit moves; a new window takes what happened in it."""
        catalog = self.services[0].services[CatalogService].active
        organizations = self.services[0].services[OrganizationService]
        granted = catalog.entitlements(plan, window)

        async def apply_and_move() -> None:
            await organizations.apply_entitlements(self.organization_id, granted)
            since = window.start if window else START
            await asyncio.gather(
                *(
                    service.services[WindowRecount].place_again(self.organization_id, since)
                    for service in self.services[:moved_by]
                )
            )

        self.run(apply_and_move())

    @invariant()
    def everything_adds_up(self) -> None:
        if not hasattr(self, "organization_id"):
            return
        service = self.services[0]
        assert self.run(broken(service, self.organization_id)) == {}
        assert self.run(misplaced(service, self.organization_id)) == []
        standing = [each for each in self.known.values() if not each.is_void]
        reader = service.services[UsageService]
        wide = (START - timedelta(days=60), START + timedelta(days=1))
        total = self.run(reader.summary(self.organization_id, *wide)).total
        assert total.events == len(standing)
        assert total.quantity == sum((each.quantity for each in standing), Decimal(0))
        assert total.tokens_in == sum(each.tokens for each in standing)
        assert total.cost_usd == sum(
            (self._cost(each) or Decimal(0) for each in standing), Decimal(0)
        )
        assert total.unpriced == sum(self._cost(each) is None for each in standing)
        windows = self.run(
            service.services[OrganizationService].quota_windows(self.organization_id)
        )
        now = windows.at(START)
        here = [each for each in standing if windows.at(each.at).start == now.start]
        for quota in self.run(reader.quotas(self.organization_id)):
            assert quota.used == self._used(quota.metric, here), quota.metric

    def _body(self, drawn: Any) -> tuple[Sent, dict[str, Any]]:
        number, kind, quantity, user, tokens, model, minutes = drawn
        at = START - timedelta(minutes=minutes)
        name = self.late if model == "late" else model
        body: dict[str, Any] = {
            "id": f"e{number}",
            "type": kind,
            "quantity": str(quantity),
            "tokens_in": tokens,
            "occurred_at": at.isoformat(),
            "agent": f"a{number % 3}",
        }
        if user is not None:
            body["user_id"] = user
        if name is not None:
            body |= {"provider": "openai" if name == "gpt-4o" else "acme", "model": name}
        return Sent(kind, quantity, user, tokens, name, at), body

    def _learn(self, sent: Sent, body: dict[str, Any], answer: Any, enforce: bool) -> None:
        name = body["id"]
        if isinstance(answer, Recorded):
            if answer.is_repeat:
                assert self.content[name] == body, "a repeat is the same content"
            else:
                assert name not in self.known, "the pair of organization and id is unique"
                self.known[name], self.content[name] = sent, body
        elif isinstance(answer, EventConflict):
            assert self.content[name] != body
        else:
            assert isinstance(answer, QuotaExceeded), answer
            assert enforce
            assert name not in self.known

    def _cost(self, each: Sent) -> Decimal | None:
        if not each.tokens:
            return Decimal(0)
        if each.model == "gpt-4o":
            return each.tokens * Decimal("2.5") / 1_000_000
        if each.model == self.late and self.has_late_price:
            return each.tokens * _LATE_PRICE / 1_000_000
        return None

    @staticmethod
    def _used(metric: str, here: list[Sent]) -> Decimal:
        of_kind = {"visits": "visit", "visitors": "visit", "debates": "debate"}.get(metric, metric)
        events = [each for each in here if each.kind == of_kind]
        match metric:
            case "visits":
                return Decimal(len(events))
            case "visitors":
                return Decimal(len({each.user for each in events if each.user is not None}))
            case "peak":
                return max((each.quantity for each in events), default=Decimal(0))
            case "level":
                latest = max(((each.at, each.quantity) for each in events), default=None)
                return latest[1] if latest else Decimal(0)
            case _:
                return sum((each.quantity for each in events), Decimal(0))


@pytest.mark.slow
async def test_any_history_of_events_adds_up(
    fresh_url: URL, clock: ManualClock, tmp_path: Path
) -> None:
    path = tmp_path / "stateful.yaml"
    path.write_text(CATALOG)
    async with (
        running(fresh_url, clock, catalog=str(path)) as one,
        running(fresh_url, clock, catalog=str(path)) as two,
    ):

        class Here(Usage):
            services = [one, two]
            loop = asyncio.get_running_loop()

        await asyncio.to_thread(
            run_state_machine_as_test,
            Here,
            settings=settings(
                max_examples=60 if EVERYTHING else 6,
                stateful_step_count=14,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
