"""A process that reserves, commits, releases and streams at random until it is killed or done.

`python -m tests.support.reserver URL ORGANIZATION SEED OPERATIONS`; each commit that was
acknowledged is a line on standard output, written at once.
"""

from __future__ import annotations

import asyncio
import random
import sys
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import make_url

from app.infra.lifecycle import Lifecycle
from app.kernel.clock import SystemClock
from app.kernel.errors import BillingError, PaymentRequired
from app.kernel.ids import OrganizationId, new_id
from app.usage.holding import Caller, Held, Labels, NewReservation
from app.usage.service.reservations import Reservations
from app.usage.service.settling import Settling
from app.usage.wire.reservations import read_commit
from app.wiring import build_services
from tests.support.service import settings_for

WORKSPACES = ("a", "b")
DEBATES = ("d0", "d1", "d2", "d3")


class Reserver:
    def __init__(
        self, reservations: Reservations, settling: Settling, organization: UUID, seed: int
    ) -> None:
        self.reservations = reservations
        self.settling = settling
        self.organization = OrganizationId(organization)
        self.random = random.Random(seed)
        self.mine: list[tuple[Held, int]] = []

    async def act(self) -> None:
        choice = self.random.random()
        if choice < 0.5 or not self.mine:
            await self.reserve(None)
            return
        held, tokens = self.mine.pop(self.random.randrange(len(self.mine)))
        if choice < 0.6:
            self.mine.append((held, tokens))
            await self.reserve(held)
        elif choice < 0.7:
            await self.reservations.release(self.organization, held.id)
        elif choice < 0.75:
            await self.reservations.expire()
        else:
            await self.commit(held, tokens)

    async def reserve(self, parent: Held | None) -> None:
        tokens = self.random.randrange(1, 40) * 1_000
        # Some are left to expire by themselves; those are never committed.
        is_abandoned = self.random.random() < 0.2
        asked = NewReservation(
            metric="debates",
            quantity=Decimal(1),
            cost_usd=None,
            tokens_in=tokens,
            max_tokens_out=0,
            labels=Labels(
                workspace=self.random.choice(WORKSPACES),
                debate_id=self.random.choice(DEBATES),
                provider="openai",
                model="gpt-4o",
            ),
            parent_id=None if parent is None else parent.id,
            ttl=timedelta(milliseconds=300) if is_abandoned else timedelta(hours=1),
            key=None,
            digest=new_id(),
        )
        caller = Caller("nobody", None, may_exceed=False)
        grant = await self.reservations.reserve(self.organization, asked, caller)
        if not is_abandoned:
            self.mine.append((grant.held, tokens))

    async def commit(self, held: Held, tokens: int) -> None:
        # Never more than is held; so whatever the order, no limit may be passed.
        parts = self.random.choice((1, 1, 3))
        for part in range(parts):
            key = f"{held.id}-{part}"
            used = self.random.randrange(tokens // parts) if tokens >= parts else 0
            body = b'{"id": "%s", "tokens_in": %d, "quantity": %d}' % (
                key.encode(),
                used,
                part == 0,
            )
            event, _ = read_commit(body, None, held.metric, held.labels)
            await self.settling.commit(
                self.organization,
                held.id,
                event,
                is_final=part == parts - 1,
                backfill=False,
                api_key_id=None,
            )
            print(key, flush=True)


async def main(url: str, organization: str, seed: int, operations: int) -> None:
    services = build_services(settings_for(make_url(url)), clock=SystemClock())
    lifecycle = services[Lifecycle]
    await lifecycle.start()
    reserver = Reserver(services[Reservations], services[Settling], UUID(organization), seed)
    print("ready", flush=True)

    async def several(count: int) -> None:
        for _ in range(count):
            try:
                await reserver.act()
            except PaymentRequired:
                pass
            except BillingError as refusal:
                # A parent that another task has just settled.
                assert refusal.code == "parent_reservation_over", refusal.code
            # Time for the one who kills.
            await asyncio.sleep(reserver.random.random() * 0.02)

    await asyncio.gather(*(several(operations // 8) for _ in range(8)))
    await lifecycle.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
