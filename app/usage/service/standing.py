"""Where organizations stand with their counters: one read for everybody who asks at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

import asyncpg
from sqlalchemy import URL

from app.kernel.clock import Clock
from app.kernel.errors import BillingError
from app.kernel.ids import OrganizationId
from app.kernel.periods import Period, calendar_month
from app.organizations.errors import OrganizationNotFound
from app.usage.service.connection import connect
from app.usage.service.group_commit import GroupCommit
from app.usage.service.tenants import Tenant, Tenants
from app.usage.statement import STANDING_CALL

_NOTHING = (Decimal(0), Decimal(0))


@dataclass(frozen=True, slots=True)
class Standing:
    """An organization's plan, its current window, and what that has used.

    `tokens` are those that went in and came out in the window, or `None` where the window does
    not begin and end with a calendar month and must be added up from the hours.
    """

    tenant: Tenant
    window: Period
    counters: Mapping[str, tuple[Decimal, Decimal]]
    tokens: tuple[int, int] | None

    def of(self, metric: str) -> tuple[Decimal, Decimal]:
        """Used and held."""
        return self.counters.get(metric, _NOTHING)


class Standings:
    """Reads standings. Requests that come while a read runs share the next one.

    A quota is the most frequent question a customer asks; a session and four queries for each
    cost ten times as much.
    """

    def __init__(self, url: URL, tenants: Tenants, clock: Clock) -> None:
        self._tenants = tenants
        self._clock = clock
        self._group = GroupCommit[OrganizationId, Standing](partial(connect, url), self._read)

    async def open(self) -> None:
        await self._group.start()

    async def close(self) -> None:
        await self._group.stop()

    async def of(self, organization_id: OrganizationId) -> Standing:
        """Where the organization stands now. Raises `OrganizationNotFound`."""
        (answer,) = await self._group.submit([organization_id])
        if isinstance(answer, BillingError):
            raise answer
        return answer

    async def _read(
        self, connection: asyncpg.Connection, items: Sequence[OrganizationId]
    ) -> Sequence[Standing | BillingError]:
        asked = list(dict.fromkeys(items))
        found: dict[OrganizationId, Standing | BillingError] = {}
        while asked:
            unknown = [each for each in asked if self._tenants.known(each) is None]
            for each in unknown:
                try:
                    await self._tenants.current(each)
                except OrganizationNotFound as refusal:
                    found[each] = refusal
                    asked.remove(each)
            outdated = await self._read_known(connection, asked, found)
            await self._tenants.refresh(outdated) if outdated else None
            asked = outdated
        return [found[item] for item in items]

    async def _read_known(
        self,
        connection: asyncpg.Connection,
        asked: Sequence[OrganizationId],
        found: dict[OrganizationId, Standing | BillingError],
    ) -> list[OrganizationId]:
        """Read what is asked by the copies of plans at hand; returns whose copy is outdated."""
        now = self._clock.now()
        tenants = [self._tenants.known(each) for each in asked]
        windows = [tenant.windows.at(now) if tenant else calendar_month(now) for tenant in tenants]
        rows = await connection.fetch(
            STANDING_CALL,
            asked,
            [window.start for window in windows],
            [_month(window) for window in windows],
        )
        outdated: list[OrganizationId] = []
        for each, tenant, window, row in zip(asked, tenants, windows, rows, strict=True):
            if row["stamp"] is None:
                found[each] = OrganizationNotFound()
            elif tenant is None or row["stamp"] != tenant.stamp:
                outdated.append(each)
            else:
                counters = zip(row["metrics"], row["used"], row["held"], strict=True)
                found[each] = Standing(
                    tenant,
                    window,
                    {metric: (Decimal(used), Decimal(held)) for metric, used, held in counters},
                    (row["tokens_in"], row["tokens_out"]) if _month(window) else None,
                )
        return outdated


def _month(window: Period) -> str | None:
    if window != calendar_month(window.start):
        return None
    start: datetime = window.start.astimezone(UTC)
    return f"{start:%Y-%m}"
