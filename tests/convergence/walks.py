"""Orders in which a story can be heard, and what is left after each."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tests.convergence.graph import Graph
from tests.convergence.history import History, Told

MEANS = frozenset({"applied_ticket", "past_due_seen_at", "attempt"})
"""Columns that serve the way: how fresh a row is, a guess that a real failure replaces, and
which notice went out last."""
WORKERS = 4


@dataclass
class Walk:
    """What was stored and announced so far, and which tickets are out."""

    graph: Graph
    state: int
    with_tickets: bool = True
    announced: Counter[str] = field(default_factory=Counter)
    tickets: list[int] = field(default_factory=list)
    _next: int = 0

    def __post_init__(self) -> None:
        self.tickets = list(range(len(self.graph.states[self.state].tickets)))
        self._next = len(self.tickets)

    def take_ticket(self) -> int:
        self._next += 1
        return self._next - 1

    async def handle(self, event: Told, asked_at: tuple[int, ...], ticket: int) -> None:
        """The answers to a question with *ticket* are written."""
        if not self.with_tickets:
            ticket = self.take_ticket()
        place = sum(each < ticket for each in self.tickets)
        step = await self.graph.step(self.state, event, asked_at, place)
        self.state = step.to
        self.announced.update(step.announced)
        self.tickets = [
            ticket if source is None else self.tickets[source] for source in step.tickets_of
        ]


@dataclass
class End:
    """What a walk came to."""

    state: int
    announced: Counter[str]


@dataclass
class Hearing:
    """A story that is about to be heard from a given state."""

    graph: Graph
    history: History
    start: int
    heard: int
    """How many events were heard in order before; the rest comes in any order."""
    _essences: dict[int, str] = field(default_factory=dict)

    @cached_property
    def events(self) -> Sequence[Told]:
        return self.history.events[self.heard :]

    @cached_property
    def first_stage(self) -> int:
        return self.events[0].stage

    async def in_order(self) -> End:
        return await self.permuted(range(len(self.events)), random.Random(0), repeats=0)

    async def permuted(
        self,
        order: Iterable[int],
        chance: random.Random,
        *,
        repeats: int,
        hears_latest: bool = False,
    ) -> End:
        """Events handled one after the other. The account is no further than what was sent
        requires, or all the way. *repeats* of them are handled again, somewhere later, and as
        many were begun before by a worker who died: of that a ticket is left that nobody has."""
        todo = list(order)
        for _ in range(repeats):
            event = chance.choice(todo)
            todo.insert(chance.randint(todo.index(event) + 1, len(todo)), event)
        deaths = {chance.randrange(len(todo)) for _ in range(repeats)}
        walk = Walk(self.graph, self.start)
        stage = self.history.last if hears_latest else self.first_stage
        for position, number in enumerate(todo):
            event_told = self.events[number]
            if position in deaths:
                walk.take_ticket()
            stage = max(stage, event_told.stage)
            await walk.handle(event_told, self._asked(event_told, (stage,)), walk.take_ticket())
        return End(walk.state, walk.announced)

    async def entangled(self, chance: random.Random, *, with_tickets: bool = True) -> End:
        """Some workers at once, each handling in beats: ticket, question, answer, commit.

        Between any two beats time goes on at Stripe, others get on, or the worker dies; what it
        had not committed is delivered again. What was committed is sometimes sent again too.
        """
        walk = Walk(self.graph, self.start, with_tickets)
        stage = self.first_stage
        waiting = [event for event in self.events if event.stage <= stage]
        sent = set(waiting)
        again = 3
        deaths = 4
        haste = chance.choice((0.1, 0.3, 0.6))
        working: list[_Handling] = []
        while waiting or working or stage < self.history.last:
            choice = chance.random()
            if stage < self.history.last and (choice < haste or not (waiting or working)):
                stage += 1
                news = [e for e in self.events if e.stage <= stage and e not in sent]
                sent.update(news)
                waiting.extend(news)
            elif waiting and len(working) < WORKERS and (choice < 0.7 or not working):
                event = waiting.pop(chance.randrange(len(waiting)))
                working.append(_Handling(event, walk.take_ticket(), chance.choice((1, 1, 0.02))))
            elif working:
                [one] = chance.choices(working, [each.pace for each in working])
                if deaths and chance.random() < 0.08:
                    deaths -= 1
                    working.remove(one)
                    waiting.append(one.event)
                elif not one.asked_at or (len(one.asked_at) < 2 and chance.random() < 0.3):
                    one.asked_at.append(stage)
                elif chance.random() < 0.6:
                    working.remove(one)
                    asked_at = self._asked(one.event, tuple(one.asked_at))
                    await walk.handle(one.event, asked_at, one.ticket)
                    if again and chance.random() < 0.2:
                        again -= 1
                        waiting.append(one.event)
        return End(walk.state, walk.announced)

    async def heard_again(self, end: End) -> End:
        """Everything once more, after the end."""
        walk = Walk(self.graph, end.state)
        for event in self.history.events:
            asked_at = self._asked(event, (self.history.last,))
            await walk.handle(event, asked_at, walk.take_ticket())
        return End(walk.state, walk.announced)

    def _asked(self, event: Told, stages: tuple[int, ...]) -> tuple[int, ...]:
        """The same stages by the names of the earliest ones that answer alike."""
        found = tuple(self._alike[stage] for stage in stages)
        return found if len(set(found)) > 1 else found[:1]

    @cached_property
    def _alike(self) -> list[int]:
        stages = self.history.stages
        return [stages.index(objects) for objects in stages]

    def essence(self, state: int) -> str:
        """What of a state must be the same after every order."""
        known = self._essences.get(state)
        if known is None:
            known = self._essences[state] = self._essence(state)
        return known

    def _essence(self, state: int) -> str:
        found: dict[str, list[dict[str, Any]]] = json.loads(self.graph.states[state].key)
        for rows in found.values():
            for row in rows:
                for column in MEANS:
                    row.pop(column, None)
                if row.get("settled_at") is not None:
                    # A failure that is heard of after the payment is none.
                    row.pop("first_failed_at", None)
                    row.pop("pay_url", None)
        return json.dumps(found, sort_keys=True)


@dataclass
class _Handling:
    event: Told
    ticket: int
    pace: float
    """Some answers are long on their way."""
    asked_at: list[int] = field(default_factory=list)
