"""The tables of `models.py`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import any_, func, literal, select, text, update

from app.infra.db.locks import advisory_lock
from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId, new_id
from app.kernel.pages import Page, PageRequest
from app.metered import domain
from app.metered.domain import BatchState, Enrolment, Portion, hour_of
from app.metered.models import MeteredBatch, MeteredEnrolment, MeteredPortion


class EnrolmentRepository(Repository):
    """Who is metered."""

    async def find_open(self, organization_id: OrganizationId) -> MeteredEnrolment | None:
        found: MeteredEnrolment | None = await self.session.scalar(
            select(MeteredEnrolment).where(
                MeteredEnrolment.organization_id == organization_id,
                MeteredEnrolment.until.is_(None),
            )
        )
        return found

    async def list_all(self, organization_id: OrganizationId) -> list[Enrolment]:
        rows = await self.session.scalars(
            select(MeteredEnrolment).where(MeteredEnrolment.organization_id == organization_id)
        )
        return [row.to_domain() for row in rows]

    async def begin(self, organization_id: OrganizationId, enrolment: Enrolment) -> None:
        self.session.add(
            MeteredEnrolment(
                organization_id=organization_id,
                id=new_id(),
                stripe_customer_id=enrolment.stripe_customer_id,
                prices=dict(enrolment.prices),
                since=enrolment.since,
                until=None,
            )
        )
        await self.session.flush()

    async def end(self, organization_id: OrganizationId, at: datetime) -> None:
        await self.session.execute(
            update(MeteredEnrolment)
            .where(
                MeteredEnrolment.organization_id == organization_id,
                MeteredEnrolment.until.is_(None),
            )
            .values(until=func.greatest(at, MeteredEnrolment.since))
        )

    async def list_many_for_platform(
        self, organization_ids: Collection[UUID]
    ) -> dict[UUID, list[Enrolment]]:
        rows = await self.session.scalars(
            select(MeteredEnrolment).where(MeteredEnrolment.organization_id.in_(organization_ids))
        )
        found: dict[UUID, list[Enrolment]] = defaultdict(list)
        for row in rows:
            found[row.organization_id].append(row.to_domain())
        return found


class BatchRepository(Repository):
    """What Stripe is told."""

    async def lock_collection_for_platform(self) -> None:
        """Let one at a time decide which events are in a batch, and which are to be taken back."""
        await advisory_lock(self.session, "metered", "collection")

    async def add_portion(
        self, organization_id: OrganizationId, portion: Portion, now: datetime
    ) -> int:
        """Write down a portion and a batch for each of its metrics; says how many batches."""
        row = MeteredPortion(
            organization_id=organization_id,
            id=new_id(),
            hour=portion.hour,
            event_ids=portion.event_ids,
            collected_at=now,
        )
        self.session.add(row)
        await self.session.flush()
        for metric, quantity in sorted(portion.quantities.items()):
            await self.add_batch(
                organization_id,
                enrolment=portion.enrolment,
                metric=metric,
                quantity=quantity,
                occurred_at=portion.latest_at or portion.hour,
                now=now,
                portion_id=row.id,
            )
        return len(portion.quantities)

    async def add_batch(
        self,
        organization_id: OrganizationId,
        *,
        enrolment: Enrolment,
        metric: str,
        quantity: Decimal,
        occurred_at: datetime,
        now: datetime,
        portion_id: UUID | None = None,
        corrects_event_id: UUID | None = None,
    ) -> None:
        self.session.add(
            MeteredBatch(
                organization_id=organization_id,
                id=new_id(),
                portion_id=portion_id,
                corrects_event_id=corrects_event_id,
                metric=metric,
                stripe_price_id=enrolment.prices[metric],
                stripe_customer_id=enrolment.stripe_customer_id,
                quantity=quantity,
                occurred_at=occurred_at,
                state=BatchState.PENDING.value,
                attempts=0,
                next_attempt_at=now,
            )
        )
        await self.session.flush()

    async def was_collected(
        self, organization_id: OrganizationId, event_id: UUID, occurred_at: datetime
    ) -> bool:
        found = await self.session.scalar(
            select(MeteredPortion.id).where(
                MeteredPortion.organization_id == organization_id,
                MeteredPortion.hour == hour_of(occurred_at),
                literal(event_id) == any_(MeteredPortion.event_ids),
            )
        )
        return found is not None

    async def was_corrected(self, organization_id: OrganizationId, event_id: UUID) -> bool:
        found = await self.session.scalar(
            select(MeteredBatch.id)
            .where(
                MeteredBatch.organization_id == organization_id,
                MeteredBatch.corrects_event_id == event_id,
            )
            .limit(1)
        )
        return found is not None

    async def claim_due(self, now: datetime, until: datetime, limit: int) -> list[MeteredBatch]:
        """Batches to tell, the oldest first, leased until *until*."""
        waiting = (
            select(MeteredBatch)
            .where(
                MeteredBatch.state == BatchState.PENDING.value, MeteredBatch.next_attempt_at <= now
            )
            .order_by(MeteredBatch.next_attempt_at, MeteredBatch.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        rows = list((await self.session.scalars(waiting)).all())
        for row in rows:
            row.next_attempt_at = until
        return rows

    async def settle(
        self, organization_id: OrganizationId, batch_id: UUID, state: BatchState, **values: Any
    ) -> bool:
        """End a batch that waits; one that ended otherwise meanwhile stays as it is."""
        done = await self.session.execute(
            update(MeteredBatch)
            .where(
                MeteredBatch.organization_id == organization_id,
                MeteredBatch.id == batch_id,
                MeteredBatch.state == BatchState.PENDING.value,
            )
            .values(state=state.value, **values)
            .returning(MeteredBatch.id)
        )
        return done.first() is not None

    async def note_attempt(
        self, organization_id: OrganizationId, batch_id: UUID, told_as: datetime, at: datetime
    ) -> None:
        """From the first attempt on it is told as of the same instant."""
        await self.session.execute(
            update(MeteredBatch)
            .where(MeteredBatch.organization_id == organization_id, MeteredBatch.id == batch_id)
            .values(
                attempts=MeteredBatch.attempts + 1,
                told_as=told_as,
                first_attempt_at=func.coalesce(MeteredBatch.first_attempt_at, at),
            )
        )

    async def put_off(
        self, organization_id: OrganizationId, batch_ids: Sequence[UUID], until: datetime
    ) -> None:
        await self.session.execute(
            update(MeteredBatch)
            .where(
                MeteredBatch.organization_id == organization_id,
                MeteredBatch.id.in_(batch_ids),
                MeteredBatch.state == BatchState.PENDING.value,
            )
            .values(next_attempt_at=until)
        )

    async def find_for_platform(self, batch_id: UUID, *, lock: bool = False) -> MeteredBatch | None:
        query = select(MeteredBatch).where(MeteredBatch.id == batch_id)
        if lock:
            query = query.with_for_update()
        found: MeteredBatch | None = await self.session.scalar(query)
        return found

    async def replace(
        self, organization_id: OrganizationId, old: MeteredBatch, due_at: datetime
    ) -> MeteredBatch:
        """The same quantity under a new identifier; Stripe has used up the old one."""
        new = MeteredBatch(
            organization_id=organization_id,
            id=new_id(),
            portion_id=old.portion_id,
            corrects_event_id=old.corrects_event_id,
            replaces=old.id,
            metric=old.metric,
            stripe_price_id=old.stripe_price_id,
            stripe_customer_id=old.stripe_customer_id,
            quantity=old.quantity,
            occurred_at=old.occurred_at,
            state=BatchState.PENDING.value,
            attempts=0,
            next_attempt_at=due_at,
        )
        self.session.add(new)
        await self.session.flush()
        return new

    async def count_replaced(self, organization_id: OrganizationId, batch: MeteredBatch) -> int:
        """How often this quantity was told in vain before."""
        count, before = 0, batch.replaces
        while before is not None:
            count += 1
            before = await self.session.scalar(
                select(MeteredBatch.replaces).where(
                    MeteredBatch.organization_id == organization_id, MeteredBatch.id == before
                )
            )
        return count

    async def hold_still_for_platform(self) -> None:
        """See one moment of the database until the unit ends. Call it first in a unit."""
        await self.session.execute(
            text("set transaction isolation level repeatable read, read only")
        )

    async def sum_by_state(
        self, organization_id: OrganizationId, since: datetime
    ) -> dict[tuple[str, str], Decimal]:
        """Quantities by metric and state that were told, or are to be, as of *since* or later."""
        told = func.coalesce(MeteredBatch.told_as, MeteredBatch.occurred_at)
        rows = await self.session.execute(
            select(MeteredBatch.metric, MeteredBatch.state, func.sum(MeteredBatch.quantity))
            .where(MeteredBatch.organization_id == organization_id, told >= since)
            .group_by(MeteredBatch.metric, MeteredBatch.state)
        )
        return {(metric, state): total for metric, state, total in rows}

    async def sum_sent(
        self, organization_id: OrganizationId, metric: str, since: datetime, until: datetime
    ) -> Decimal:
        """What Stripe has surely been told as of that stretch."""
        total = await self.session.scalar(
            select(func.sum(MeteredBatch.quantity)).where(
                MeteredBatch.organization_id == organization_id,
                MeteredBatch.metric == metric,
                MeteredBatch.state == BatchState.SENT.value,
                MeteredBatch.told_as >= since,
                MeteredBatch.told_as < until,
            )
        )
        return total or Decimal(0)

    async def list_for_operators(
        self,
        request: PageRequest,
        organization_id: OrganizationId | None,
        states: Collection[str] | None,
    ) -> Page[domain.Batch]:
        query = select(MeteredBatch)
        if organization_id is not None:
            query = query.where(MeteredBatch.organization_id == organization_id)
        if states is not None:
            query = query.where(MeteredBatch.state.in_(states))
        page = await self.page(query, request, MeteredBatch.id, lambda row: row.id)
        return page.map(lambda row: row.to_domain())

    async def forget_events_for_platform(self, before: datetime) -> int:
        """Forget which events were in portions so old that nothing of them can be corrected."""
        done = await self.session.execute(
            update(MeteredPortion)
            .where(
                MeteredPortion.hour < before,
                MeteredPortion.event_ids != [],
            )
            .values(event_ids=[])
        )
        return int(getattr(done, "rowcount", 0))
