"""What organizations hold, straight from the database: one read for everybody who asks at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import asyncpg
from sqlalchemy import URL

from app.infra.db.together import Together
from app.kernel.ids import OrganizationId
from app.subscriptions.domain import Mirrored
from app.subscriptions.statement import HOLDING_CALL


@dataclass(slots=True)
class Holding:
    """What an organization is granted now, and every subscription it has in the mirror."""

    granted: str
    features: frozenset[str]
    is_disputed: bool
    subscriptions: list[Mirrored]


class Holdings:
    """Reads holdings past the session and its rows, whose work is most of such a read."""

    def __init__(self, url: URL) -> None:
        self._together = Together[OrganizationId, Holding | None](
            url, "aragora-billing-subscriptions", _read
        )

    async def of(self, organization_id: OrganizationId) -> Holding | None:
        return await self._together.of(organization_id)

    async def close(self) -> None:
        await self._together.close()


async def _read(
    connection: asyncpg.Connection, keys: Sequence[OrganizationId]
) -> Mapping[OrganizationId, Holding | None]:
    found: dict[OrganizationId, Holding | None] = dict.fromkeys(keys)
    for row in await connection.fetch(HOLDING_CALL, keys):
        asked, granted, features, is_disputed, *mirrored = row.values()
        if granted is None:
            continue
        holding = found[asked]
        if holding is None:
            holding = found[asked] = Holding(granted, _features(features), is_disputed, [])
        if mirrored[0] is not None:
            holding.subscriptions.append(Mirrored(*mirrored))
    return found


@lru_cache(maxsize=1_000)
def _features(text: str) -> frozenset[str]:
    return frozenset(json.loads(text))
