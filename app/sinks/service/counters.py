"""Every month's figures, for readers of Redis."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from app.gateways.redis.gateway import CountersGateway, CountersUnavailable, MonthCounters
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.ids import OrganizationId, encode_id
from app.kernel.rates import plain
from app.sinks.service.attempts import Attempts
from app.usage.models import UsageMonth
from app.usage.service.feeds import FeedKind, UsageFeeds

REDIS = "redis"


class CounterSink:
    """Puts whole figures, so a repeat changes nothing; old ones never replace newer ones.

    Begins by putting every month there is, and does so again when Redis has lost them.
    """

    def __init__(
        self,
        work: UnitOfWork,
        feeds: UsageFeeds,
        attempts: Attempts,
        counters: CountersGateway | None,
    ) -> None:
        self._work = work
        self._feeds = feeds
        self._attempts = attempts
        self._counters = counters

    async def deliver(self) -> int:
        """Put what has changed since the last time; returns how many months were put."""
        if self._counters is None:
            await self._feeds.end_if_abandoned(REDIS)
            return 0
        since = await self._feeds.begin(REDIS, FeedKind.MONTHS)
        if since is None or not await self._attempts.is_due(REDIS):
            return 0
        try:
            put = await self._put_everything(self._counters, since)
            return put + await self._put_changes(self._counters)
        except CountersUnavailable as failure:
            await self._attempts.failed(REDIS, failure)
            return 0

    async def _put_everything(self, counters: CountersGateway, since: datetime) -> int:
        mark = since.isoformat()
        if await counters.complete_since() == mark:
            return 0
        put = 0
        last: tuple[OrganizationId, str] | None = None
        while True:
            ticket, months = await self._feeds.months_after(last)
            if not months:
                break
            await counters.put(_shown(months), ticket)
            put += len(months)
            last = OrganizationId(months[-1].organization_id), months[-1].month
        await counters.mark_complete(mark)
        return put

    async def _put_changes(self, counters: CountersGateway) -> int:
        put = 0
        while (notes := await self._feeds.claim(REDIS)) is not None:
            try:
                ticket, months = await self._feeds.months(notes.months)
                await counters.put(_shown(months), ticket)
            except CountersUnavailable:
                await self._feeds.release(notes)
                raise
            async with self._work.begin_platform():
                await self._feeds.settle(notes)
                await self._attempts.succeeded(REDIS)
            put += len(months)
        return put


def _shown(months: Sequence[UsageMonth]) -> list[MonthCounters]:
    return [
        MonthCounters(
            encode_id("org", month.organization_id),
            month.month,
            {
                "events": str(month.events),
                "debates": plain(month.debates),
                "api_calls": plain(month.api_calls),
                "tokens": str(month.total_tokens),
                "tokens_in": str(month.tokens_in),
                "tokens_out": str(month.tokens_out),
                "cost_usd": plain(month.total_cost),
                "unpriced": str(month.unpriced),
            },
        )
        for month in months
    ]
