"""Taking back what should not count, and pricing what had no price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from uuid import UUID

import structlog

from app.audit.service import AuditLog
from app.catalog.domain import Aggregation
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, encode_id
from app.kernel.rates import plain
from app.pricing.domain import PriceBook, Tokens
from app.pricing.service import PriceService
from app.usage.domain import Figures
from app.usage.events import UsageVoided
from app.usage.models import UsageEvent
from app.usage.repository.corrections import CorrectionRepository
from app.usage.repository.recount import RecountRepository
from app.usage.repository.spend import SpendChange, SpendRepository
from app.usage.service.spend_notices import SpendNotices
from app.usage.service.usage import UsageService
from app.usage.spend import SpendLabels

log = structlog.get_logger(__name__)

_AT_ONCE = 200


class UsageCorrections:
    """Changes that follow an event after it was recorded; rollups and counters go with them."""

    def __init__(
        self,
        work: UnitOfWork,
        usage: CorrectionRepository,
        recounts: RecountRepository,
        spend: SpendRepository,
        notices: SpendNotices,
        reader: UsageService,
        prices: PriceService,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._work = work
        self._usage = usage
        self._recounts = recounts
        self._spend = spend
        self._notices = notices
        self._reader = reader
        self._prices = prices
        self._audit = audit
        self._clock = clock

    async def void(self, organization_id: OrganizationId, name: str, reason: str) -> UsageEvent:
        """Make an event count for nothing. Its row and its key stay, so it cannot come again.

        Voiding it twice changes nothing; the first reason stays. Raises `EventNotFound`.
        """
        async with self._work.begin(organization_id):
            # Else a recount could move the event to another window after it was read here.
            await self._recounts.beside(organization_id)
            event = await self._reader.get(organization_id, name)
            if event.voided_at is not None:
                return event
            # Counters before all else, in their order: as every flush takes its locks.
            for metric, counted in sorted(event.counted.items()):
                await self._usage.add_to_counter(
                    organization_id, metric, event.window_start, -_added(counted)
                )
            if await self._usage.mark_void(organization_id, event, self._clock.now(), reason):
                await self._usage.session.refresh(event)
                await self._take_back(organization_id, event)
                self._work.announce(UsageVoided(organization_id, event.id, event.occurred_at))
                self._audit.record(
                    "usage.voided",
                    encode_id("evt", event.id),
                    organization_id=organization_id,
                    before={"cost_usd": None if event.cost_usd is None else plain(event.cost_usd)},
                    reason=reason,
                )
                return event
            # Somebody else voided it while this call waited for the counters.
            for metric, counted in sorted(event.counted.items()):
                await self._usage.add_to_counter(
                    organization_id, metric, event.window_start, _added(counted)
                )
            await self._usage.session.refresh(event)
            return event

    async def _take_back(self, organization_id: OrganizationId, event: UsageEvent) -> None:
        if event.cost_usd:
            await self._post(organization_id, [(event, -event.cost_usd)])
        await self._usage.add_to_rollups(
            organization_id,
            [
                (
                    event,
                    Figures(
                        -1,
                        -event.quantity,
                        -event.tokens_in,
                        -event.tokens_out,
                        -event.cached_tokens,
                        -(event.cost_usd or Decimal(0)),
                        -1 if event.cost_usd is None else 0,
                    ),
                )
            ],
        )
        for metric, counted in sorted(event.counted.items()):
            if isinstance(counted, str):
                continue
            ((kind, value),) = counted.items()
            if kind != Aggregation.UNIQUE:
                await self._recounts.recount(organization_id, metric, event.window_start, kind)
            elif await self._usage.forget_value(
                organization_id, metric, event.window_start, UUID(value)
            ):
                await self._usage.add_to_counter(
                    organization_id, metric, event.window_start, Decimal(-1)
                )

    async def _post(
        self, organization_id: OrganizationId, costs: Sequence[tuple[UsageEvent, Decimal]]
    ) -> None:
        """Move what limits on spending have seen of these events, and announce what that reaches."""
        changes = [
            SpendChange(
                SpendLabels(
                    event.workspace,
                    event.user_id,
                    event.api_key_id,
                    event.debate_id,
                    event.provider,
                    event.model,
                ),
                event.occurred_at,
                cost,
            )
            for event, cost in costs
        ]
        now = self._clock.now()
        for limit_id, period_start in await self._spend.post(organization_id, changes, now):
            await self._notices.announce(organization_id, limit_id, period_start)

    async def price_waiting(self) -> int:
        """Price every event that had no price and can have one now; returns how many.

        Each batch is a unit of its own, so a job that is killed goes on where it stopped.
        """
        book = await self._prices.refresh()
        async with self._work.begin_platform():
            waiting = await self._usage.list_unpriced_for_operators()
        priced = 0
        for organization_id, provider, model in waiting:
            after: UUID | None = None
            while True:
                done, after = await self._price_some(book, organization_id, provider, model, after)
                priced += done
                if after is None:
                    break
        if priced:
            log.info("usage.priced", events=priced)
        return priced

    async def _price_some(
        self,
        book: PriceBook,
        organization_id: OrganizationId,
        provider: str,
        model: str,
        after: UUID | None,
    ) -> tuple[int, UUID | None]:
        async with self._work.begin(organization_id):
            await self._recounts.beside(organization_id)
            events = await self._usage.claim_unpriced(
                organization_id, provider, model, after, _AT_ONCE
            )
            changes: list[tuple[UsageEvent, Figures]] = []
            for event in events:
                cost, quote = book.cost(
                    organization_id, provider, model, _tokens(event), event.occurred_at
                )
                if cost is None or quote is None:
                    continue
                event.cost_usd = cost
                event.price_source = quote.source.value
                event.price_reference = quote.reference
                event.price_ids = list(quote.row_ids)
                changes.append((event, Figures(cost_usd=cost, unpriced=-1)))
            if changes:
                await self._post(
                    organization_id, [(event, change.cost_usd) for event, change in changes]
                )
                await self._usage.add_to_rollups(organization_id, changes)
                total = sum((change.cost_usd for _, change in changes), Decimal(0))
                self._audit.record(
                    "usage.priced",
                    f"{provider}/{model}",
                    organization_id=organization_id,
                    after={"events": len(changes), "cost_usd": plain(total)},
                )
        return len(changes), events[-1].id if len(events) == _AT_ONCE else None


def _added(counted: str | Mapping[str, str]) -> Decimal:
    """What an event added to a counter; what is no sum is worked out again instead."""
    return Decimal(counted) if isinstance(counted, str) else Decimal(0)


def _tokens(event: UsageEvent) -> Tokens:
    return Tokens(
        event.tokens_in - event.cached_tokens - event.cache_write_tokens,
        event.cached_tokens,
        event.cache_write_tokens,
        event.tokens_out,
        event.reasoning_tokens,
    )
