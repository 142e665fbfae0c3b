"""Reserving, and giving back: what a call may use is held before it is made.

Requests of a process are gathered by group commit; one call of `usage_reserve` grants whatever
fits, in order, for all of them. Committing with an event is in `settling`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from uuid import UUID

import asyncpg
import structlog
from sqlalchemy import URL

from app.catalog.service import CatalogService
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.errors import BillingError
from app.kernel.ids import OrganizationId, new_id
from app.kernel.pages import Page, PageRequest
from app.pricing.domain import tokens_of
from app.pricing.service import PriceService
from app.usage.domain import Meters
from app.usage.errors import EstimateNotPriced, NothingToReserve, ReservationNotFound
from app.usage.holding import Caller, Held, NewReservation
from app.usage.models import Reservation
from app.usage.repository.reservations import ReservationRepository
from app.usage.service.connection import connect
from app.usage.service.granting import Grant, Granting, Request
from app.usage.service.group_commit import GroupCommit
from app.usage.service.tenants import Tenants
from app.usage.statement import EXPIRE_CALL, GIVE_BACK_CALL, RESERVE_CALL

log = structlog.get_logger(__name__)

_EXPIRED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class _Return:
    organization_id: OrganizationId
    id: UUID


class Reservations:
    """Holds and gives back. `open` and `close` frame its life in a process."""

    def __init__(
        self,
        url: URL,
        work: UnitOfWork,
        rows: ReservationRepository,
        catalogs: CatalogService,
        prices: PriceService,
        tenants: Tenants,
        clock: Clock,
    ) -> None:
        self._work = work
        self._rows = rows
        self._prices = prices
        self._tenants = tenants
        self._clock = clock
        self._meters = Meters(catalogs.active)
        connection = partial(connect, url, plan_cache_mode="force_generic_plan")
        self._reserving = GroupCommit[Request, Grant](connection, self._reserve)
        self._returning = GroupCommit[_Return, Held](connection, self._give_back)

    async def open(self) -> None:
        await self._reserving.start()
        await self._returning.start()

    async def close(self) -> None:
        """Answer what was accepted."""
        await self._reserving.stop()
        await self._returning.stop()

    async def reserve(
        self, organization_id: OrganizationId, asked: NewReservation, caller: Caller
    ) -> Grant:
        """Hold all of it or nothing; a repeat with the same key is answered with the first.

        Raises `QuotaExceeded`, `BudgetExceeded` or `EnvelopeExceeded` for what does not fit, after
        holds that are overdue were given back.
        """
        meter = None if asked.metric is None else self._meters.find(asked.metric)
        cost = asked.cost_usd
        names_model = asked.labels.provider is not None and asked.labels.model is not None
        if cost is None and names_model and (asked.tokens_in or asked.max_tokens_out):
            cost = self._estimate(organization_id, asked)
        if meter is None and cost is None:
            raise NothingToReserve
        request = Request(organization_id, new_id(), asked, meter, cost, caller)
        (answer,) = await self._reserving.submit([request])
        if isinstance(answer, BillingError):
            raise answer
        return answer

    async def release(self, organization_id: OrganizationId, reservation_id: UUID) -> Held:
        """Give back what is left. What is over already stays as it ended."""
        (answer,) = await self._returning.submit([_Return(organization_id, reservation_id)])
        if isinstance(answer, BillingError):
            raise answer
        return answer

    async def expire(self) -> int:
        """Give back everything that is overdue; returns how many reservations that were."""
        total = 0
        while True:
            async with self._work.begin_platform():
                done = await self._rows.expire_due(self._clock.now(), _EXPIRED_AT_ONCE)
            total += done
            if done < _EXPIRED_AT_ONCE:
                break
        if total:
            log.info("usage.reservations_expired", reservations=total)
        return total

    async def get(self, organization_id: OrganizationId, reservation_id: UUID) -> Held:
        """Raises `ReservationNotFound`."""
        async with self._work.begin(organization_id):
            row = await self._rows.find(organization_id, reservation_id)
            if row is None:
                raise ReservationNotFound
            return held_of(row)

    async def list_for_organization(
        self,
        organization_id: OrganizationId,
        state: str | None,
        parent_id: UUID | None,
        debate_id: str | None,
        request: PageRequest,
    ) -> Page[Held]:
        """Newest first."""
        async with self._work.begin(organization_id):
            page = await self._rows.list_for_organization(
                organization_id, state, parent_id, debate_id, request
            )
            return Page([held_of(row) for row in page.items], page.next_cursor)

    def _estimate(self, organization_id: OrganizationId, asked: NewReservation) -> Decimal:
        provider, model = asked.labels.provider or "", asked.labels.model or ""
        cost, _ = self._prices.book.cost(
            organization_id,
            provider,
            model,
            tokens_of(asked.tokens_in, asked.max_tokens_out),
            self._clock.now(),
        )
        if cost is None:
            raise EstimateNotPriced(provider=provider[:100], model=model[:100])
        return cost

    async def _reserve(
        self, connection: asyncpg.Connection, items: Sequence[Request]
    ) -> Sequence[Grant | BillingError]:
        organizations = sorted({item.organization_id for item in items})
        unknown = [each for each in organizations if self._tenants.known(each) is None]
        if unknown:
            await self._tenants.refresh(unknown)
        has_expired = False
        while True:
            now = self._clock.now()
            call = Granting(items, organizations, self._tenants, self._prices.book.version, now)
            row = await connection.fetchrow(RESERVE_CALL, *call.arguments())
            if row is None or row["state"] != "written":
                # Somebody's plan or a price has changed since this process read it.
                await self._tenants.refresh(organizations)
                await self._prices.refresh()
                continue
            if row["overdue"] and not has_expired:
                # What was refused may fit once these are given back. What was granted is found
                # again by its id.
                has_expired = True
                if await connection.fetchval(EXPIRE_CALL, now, row["overdue"], _EXPIRED_AT_ONCE):
                    continue
            return call.answers(row, self._meters)

    async def _give_back(
        self, connection: asyncpg.Connection, items: Sequence[_Return]
    ) -> Sequence[Held | BillingError]:
        rows = await connection.fetchval(
            GIVE_BACK_CALL,
            self._clock.now(),
            "released",
            [item.organization_id for item in items],
            [item.id for item in items],
        )
        return [
            ReservationNotFound() if row is None or row["id"] is None else Held.of(row.__getitem__)
            for row in rows
        ]


def held_of(row: Reservation) -> Held:
    """The value of a row of the table."""
    return Held.of(partial(getattr, row))
