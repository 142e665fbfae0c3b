"""Gets a story ready to be heard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.convergence.graph import Graph
from tests.convergence.history import Author, StagedStripe
from tests.convergence.rows import Rows
from tests.convergence.stories import Story
from tests.convergence.walks import Hearing, Walk
from tests.factories.people import an_owner
from tests.factories.subscriptions import checkout
from tests.support.service import Service


@dataclass
class Listener:
    """Our service, and the account whose stories it hears."""

    service: Service
    stripe: StagedStripe

    @asynccontextmanager
    async def hearing(self, story: Story) -> AsyncIterator[Hearing]:
        """*story*, written; what it begins with has been heard."""
        self.stripe.history = None
        owner = await an_owner(self.service)
        fields = {"trial_days": story.trial_days} if story.trial_days else {}
        page = await checkout(owner, "professional", **fields)
        author = Author(self.stripe, self.service.clock, page["id"])
        heard = story.write(author) or 0
        # All is heard soon after the last of it, so that what is granted does not depend on when.
        self.service.clock.advance(timedelta(hours=1))
        self.stripe.history = author.history
        async with self.service.services[AsyncEngine].connect() as connection:
            connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
            rows = Rows(connection, owner.organization_id)
            await rows.install()
            # Tickets of states are small numbers; those of real questions come after them.
            for sequence in ("subscription_sync_tickets", "payment_sync_tickets"):
                await connection.execute(text(f"select setval('{sequence}', 1000000)"))
            graph = Graph(self.service, self.stripe, rows)
            graph.listen()
            walk = Walk(graph, await graph.here())
            for event in author.history.events[:heard]:
                await walk.handle(event, (event.stage,), walk.take_ticket())
            yield Hearing(graph, author.history, walk.state, heard)
