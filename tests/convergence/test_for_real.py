"""The same, by the inbox itself: real deliveries, real tickets, workers that really die.

`test_every_order` puts orders together from steps that were made once. These runs are made from
beginning to end, and end in the same states.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import text

from app.kernel.ids import new_id
from app.webhooks.service.inbox import StripeInbox
from app.webhooks.service.intake import StripeIntake
from tests.convergence.graph import named
from tests.convergence.history import Told
from tests.convergence.listening import Listener
from tests.convergence.stories import STORIES, Story
from tests.convergence.test_every_order import SEED
from tests.convergence.walks import Hearing
from tests.support.stripe_events import signature

RUNS = 2
WORKERS = 3


class Killed(BaseException):
    """The worker's process is gone; nothing that it could catch."""


class Run:
    """One telling of a story to workers who take turns at random."""

    def __init__(self, listener: Listener, hearing: Hearing, chance: random.Random) -> None:
        self._service, self._stripe = listener.service, listener.stripe
        self._hearing = hearing
        self._chance = chance
        self._parked: list[asyncio.Future[None]] = []
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._deaths = 4
        self._inbox = self._service.services[StripeInbox]

    async def pause(self) -> None:
        going_on: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._parked.append(going_on)
        await going_on

    async def tell(self) -> None:
        """Until everything is handled, and some of it was delivered twice."""
        history, chance = self._hearing.history, self._chance
        stage = self._hearing.first_stage
        waiting = [await self._deliver(e) for e in self._hearing.events if e.stage <= stage]
        self._stripe.pause = self.pause
        settle = self._inbox._events.settle
        self._inbox._events.settle = self._dying(settle)  # type: ignore[method-assign]
        try:
            while waiting or self._tasks or stage < history.last:
                self._stripe.at(stage)
                choice = chance.random()
                if stage < history.last and (choice < 0.2 or not (waiting or self._tasks)):
                    stage += 1
                    news = [e for e in self._hearing.events if e.stage == stage]
                    waiting += [await self._deliver(event) for event in news]
                elif waiting and len(self._tasks) < WORKERS and (choice < 0.5 or not self._tasks):
                    event_id = waiting.pop(chance.randrange(len(waiting)))
                    self._tasks[asyncio.create_task(self._inbox.handle(event_id))] = event_id
                elif self._parked:
                    one = self._parked.pop(chance.randrange(len(self._parked)))
                    if self._dies(0.1):
                        one.set_exception(Killed())
                    else:
                        one.set_result(None)
                waiting += await self._rest()
        finally:
            self._stripe.pause = None
            self._inbox._events.settle = settle  # type: ignore[method-assign]

    async def _deliver(self, event: Told) -> str:
        sent = {**json.loads(event.body), "id": f"evt_{new_id().hex}"}
        body = json.dumps(sent).encode()
        intake = self._service.services[StripeIntake]
        for _ in range(self._chance.choice([1, 1, 2])):
            await intake.receive(body, signature(body, self._service.clock.now()))
        return str(sent["id"])

    def _dies(self, probability: float) -> bool:
        if not self._deaths or self._chance.random() > probability:
            return False
        self._deaths -= 1
        return True

    def _dying(self, settle: Any) -> Any:
        async def settle_or_die(*arguments: Any) -> None:
            await settle(*arguments)
            # Everything is written, and nothing is committed.
            if self._dies(0.1):
                raise Killed

        return settle_or_die

    async def _rest(self) -> list[str]:
        """Let everybody get on until they wait or are done; the events of those who died."""
        while sum(not task.done() for task in self._tasks) > len(self._parked):
            await asyncio.sleep(0.001)
        again: list[str] = []
        for task in [task for task in self._tasks if task.done()]:
            event_id = self._tasks.pop(task)
            error = task.exception()
            if error is not None and not isinstance(error, Killed):
                raise error
            if error is not None or self._chance.random() < 0.1:
                again.append(event_id)
        return again


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
async def test_workers_who_die_end_alike(story: Story, listener: Listener) -> None:
    async with listener.hearing(story) as hearing:
        graph = hearing.graph
        expected = await hearing.in_order()
        for number in range(RUNS):
            await graph.rows.put(graph.states[hearing.start])
            graph.heard.clear()
            seed = f"{SEED} {story.name} {number}"
            await Run(listener, hearing, random.Random(seed)).tell()
            stored = await graph.rows.take()
            assert hearing.essence(graph.number(stored)) == hearing.essence(expected.state), seed
            names = stored.names()
            announced = Counter(named(fact, names) for fact in graph.heard_once())
            assert not {fact for fact, times in announced.items() if times > 1}, seed
            receipts = {fact for fact in announced if fact.startswith("InvoicePaid")}
            assert receipts == {
                fact for fact in expected.announced if fact.startswith("InvoicePaid")
            }, seed
            async with listener.service.work.begin_platform() as session:
                states = await session.execute(
                    text("select distinct state from stripe_events where state = 'pending'")
                )
                assert not states.all(), seed
