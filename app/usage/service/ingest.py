"""Recording usage: one statement for whatever waits, and an answer for each event."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import URL

from app.catalog.service import CatalogService
from app.kernel.clock import Clock
from app.kernel.errors import BillingError
from app.kernel.ids import OrganizationId
from app.pricing.service import PriceService
from app.usage.ddl.record_one import ONE_RESULTS
from app.usage.domain import SPENDING, Meters, NewEvent, check_time, event_id_at, microseconds_of
from app.usage.service.connection import connect_to_record
from app.usage.service.flush import Flush
from app.usage.service.group_commit import GroupCommit
from app.usage.service.lone import Lone, is_plain
from app.usage.service.notices import QuotaNotices
from app.usage.service.spend_notices import SpendNotices
from app.usage.service.submission import Recorded, Spender, Submission
from app.usage.service.tenants import Tenants
from app.usage.statement import RECORD_CALL, RECORD_ONE_CALL


class UsageIngest:
    """Takes events and answers after the commit. `open` and `close` frame its life in a process."""

    def __init__(
        self,
        url: URL,
        catalogs: CatalogService,
        prices: PriceService,
        tenants: Tenants,
        notices: QuotaNotices,
        spend_notices: SpendNotices,
        clock: Clock,
    ) -> None:
        self._url = url
        self._prices = prices
        self._tenants = tenants
        self._notices = notices
        self._spend_notices = spend_notices
        self._clock = clock
        self._meters = Meters(catalogs.active)
        self._group = GroupCommit[Submission, Recorded](self._connect, self._flush)

    async def open(self) -> None:
        await self._group.start()

    async def close(self) -> None:
        """Write and answer what was accepted."""
        await self._group.stop()

    async def record(
        self,
        organization_id: OrganizationId,
        events: Sequence[NewEvent | BillingError],
        *,
        enforce: bool = False,
        backfill: bool = False,
        api_key_id: UUID | None = None,
        spender: Spender | None = None,
    ) -> list[Recorded | BillingError]:
        """Record each event once, whatever becomes of the others; answers come in order.

        With *enforce*, an event that does not fit under a hard limit is not recorded and answered
        by `QuotaExceeded`, or by `BudgetExceeded` where a limit on spending refuses *spender*.
        *backfill* allows any `occurred_at` of the past. An event that is an error already stays
        that error. *api_key_id* names the key it came through.
        """
        now = self._clock.now()
        answers: list[Recorded | BillingError | None] = [None] * len(events)
        sent: list[int] = []
        submissions: list[Submission] = []
        for index, event in enumerate(events):
            if isinstance(event, BillingError):
                answers[index] = event
                continue
            try:
                submission = self._submission(
                    organization_id, event, now, enforce, backfill, api_key_id, spender
                )
            except BillingError as refusal:
                answers[index] = refusal
                continue
            submissions.append(submission)
            sent.append(index)
        if submissions:
            for index, answer in zip(sent, await self._group.submit(submissions), strict=True):
                answers[index] = answer
        return [answer for answer in answers if answer is not None]

    async def record_one(
        self,
        organization_id: OrganizationId,
        event: NewEvent,
        *,
        enforce: bool = False,
        backfill: bool = False,
        api_key_id: UUID | None = None,
        spender: Spender | None = None,
    ) -> Recorded:
        """As `record`, for one event. Raises what refuses it."""
        submission = self._submission(
            organization_id, event, self._clock.now(), enforce, backfill, api_key_id, spender
        )
        (answer,) = await self._group.submit((submission,))
        if isinstance(answer, BillingError):
            raise answer
        return answer

    def _submission(
        self,
        organization_id: OrganizationId,
        event: NewEvent,
        now: datetime,
        enforce: bool,
        backfill: bool,
        api_key_id: UUID | None,
        spender: Spender | None = None,
    ) -> Submission:
        meter = SPENDING if event.cost_usd is not None else self._meters.find(event.type)
        occurred_at = event.occurred_at
        if occurred_at is None:
            occurred_at = now
        elif not backfill or occurred_at > now:
            check_time(occurred_at, now)
        microseconds = microseconds_of(occurred_at)
        return Submission(
            organization_id,
            event,
            meter,
            occurred_at,
            microseconds,
            event_id_at(microseconds),
            hashlib.blake2b(event.key.encode(), digest_size=16).hexdigest(),
            hashlib.blake2b(event.payload, digest_size=16).hexdigest(),
            enforce,
            api_key_id,
            backfill,
            spender=spender,
        )

    async def _connect(self) -> asyncpg.Connection:
        return await connect_to_record(self._url)

    async def _flush(
        self, connection: asyncpg.Connection, items: Sequence[Submission]
    ) -> Sequence[Recorded | BillingError]:
        # Callers of one organization mostly hold the same object, and hashing it anew is dear.
        by_identity = {id(item.organization_id): item.organization_id for item in items}
        organizations = sorted(set(by_identity.values()))
        unknown = [each for each in organizations if self._tenants.known(each) is None]
        if unknown:
            await self._tenants.refresh(unknown)
        if len(items) == 1 and is_plain(items[0]):
            answers = await self._flush_one(connection, items[0])
            if answers is not None:
                return answers
        while True:
            call = Flush(items, organizations, self._tenants, self._prices.book)
            row = await connection.fetchrow(RECORD_CALL, *call.arguments(self._clock.now()))
            if row is not None and row["state"] == "written":
                break
            # Somebody's plan or a price has changed since this process read it.
            await self._tenants.refresh(organizations)
            await self._prices.refresh()
        return self.answered(call, row)

    async def _flush_one(
        self, connection: asyncpg.Connection, item: Submission
    ) -> Sequence[Recorded | BillingError] | None:
        """What became of the event, or None where it is not as plain as it looked."""
        tenant = self._tenants.known(item.organization_id)
        if tenant is None:
            return None
        call = Lone(item, tenant, self._prices.book)
        values = await connection.fetchval(RECORD_ONE_CALL, *call.arguments(self._clock.now()))
        row = dict(zip(ONE_RESULTS, values, strict=True))
        return self.answered(call, row) if row["state"] in ("written", "repeated") else None

    def answered(
        self, call: Flush | Lone, row: asyncpg.Record | Mapping[str, Any]
    ) -> Sequence[Recorded | BillingError]:
        """What became of each event of a flush that was written; starts what follows from it."""
        answers = call.answers(row, self._meters)
        quotas = answers.quotas
        if any(item.is_backfill for item in call.items):
            # What an operator fills in is history; nobody is told of limits that it reaches.
            live = {item.organization_id for item in call.items if not item.is_backfill}
            quotas = [(owner, quota) for owner, quota in quotas if owner in live]
        self._notices.look_at(quotas)
        self._spend_notices.look_at(answers.news)
        return answers.each

    def prepare(
        self,
        organization_id: OrganizationId,
        event: NewEvent,
        *,
        backfill: bool,
        api_key_id: UUID | None,
    ) -> Submission:
        """An event on its way that somebody else writes. Raises what refuses it."""
        now = self._clock.now()
        return self._submission(organization_id, event, now, False, backfill, api_key_id)
