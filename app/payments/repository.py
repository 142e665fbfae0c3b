"""The tables of `models.py`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from app.infra.db.locks import advisory_lock
from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId, new_id
from app.kernel.pages import Page, PageRequest
from app.payments import domain
from app.payments.domain import RefundStatus
from app.payments.errors import RefundNotFound
from app.payments.models import SYNC_TICKETS, Charge, Dispute, Refund


class PaymentRepository(Repository):
    """What is known of an organization's payments."""

    async def take_ticket_for_platform(self) -> int:
        """The next number of all; a later question to Stripe always has a higher one."""
        return int(await self.session.scalar(select(SYNC_TICKETS.next_value())) or 0)

    async def lock(self, organization_id: OrganizationId) -> None:
        """Let one writer at a time decide whether an organization is disputed."""
        await advisory_lock(self.session, "payments", organization_id)

    async def claim_or_add_charge(
        self, organization_id: OrganizationId, stripe_charge_id: str, values: Mapping[str, Any]
    ) -> Charge:
        """The charge's row, locked until the unit ends; made of *values* if there was none."""
        await self.session.execute(
            insert(Charge)
            .values(
                organization_id=organization_id,
                id=new_id(),
                stripe_charge_id=stripe_charge_id,
                applied_ticket=0,
                **values,
            )
            .on_conflict_do_nothing(index_elements=["organization_id", "stripe_charge_id"])
        )
        found = await self.find_charge(organization_id, stripe_charge_id, lock=True)
        if found is None:
            raise LookupError("a row that was just made is gone")
        return found

    async def find_charge(
        self, organization_id: OrganizationId, stripe_charge_id: str, *, lock: bool = False
    ) -> Charge | None:
        query = select(Charge).where(
            Charge.organization_id == organization_id, Charge.stripe_charge_id == stripe_charge_id
        )
        if lock:
            query = query.with_for_update().execution_options(populate_existing=True)
        found: Charge | None = await self.session.scalar(query)
        return found

    async def get_charge(self, organization_id: OrganizationId, charge_id: UUID) -> Charge:
        return await self.session.get_one(Charge, (organization_id, charge_id))

    async def list_refunds(self, organization_id: OrganizationId, charge_id: UUID) -> list[Refund]:
        query = select(Refund).where(
            Refund.organization_id == organization_id, Refund.charge_id == charge_id
        )
        return list((await self.session.scalars(query)).all())

    async def list_disputes(
        self, organization_id: OrganizationId, charge_id: UUID | None = None
    ) -> list[Dispute]:
        """Disputes of one charge, or of all of them."""
        query = select(Dispute).where(Dispute.organization_id == organization_id)
        if charge_id is not None:
            query = query.where(Dispute.charge_id == charge_id)
        return list((await self.session.scalars(query.order_by(Dispute.opened_at))).all())

    async def add_refund(self, organization_id: OrganizationId, refund: Refund) -> None:
        self.session.add(refund)
        await self.session.flush()

    async def add_dispute(self, organization_id: OrganizationId, dispute: Dispute) -> None:
        self.session.add(dispute)
        await self.session.flush()

    async def find_refund(self, organization_id: OrganizationId, refund_id: UUID) -> Refund | None:
        return await self.session.get(Refund, (organization_id, refund_id), populate_existing=True)

    async def get_refund(
        self, organization_id: OrganizationId, refund_id: UUID
    ) -> tuple[Refund, Charge]:
        """A refund and its charge, the charge locked. Raises `RefundNotFound`."""
        refund = await self.session.get(Refund, (organization_id, refund_id))
        if refund is None:
            raise RefundNotFound
        charge = await self.session.get_one(
            Charge, (organization_id, refund.charge_id), with_for_update=True
        )
        await self.session.refresh(refund)
        return refund, charge

    async def claim_requested_due(
        self, now: datetime, until: datetime, limit: int
    ) -> list[tuple[OrganizationId, UUID]]:
        """Refunds that still wait for Stripe's answer, leased until *until*."""
        waiting = (
            select(Refund.organization_id, Refund.id)
            .where(Refund.status == RefundStatus.REQUESTED.value, Refund.next_attempt_at <= now)
            .order_by(Refund.next_attempt_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        found = [(OrganizationId(row[0]), row[1]) for row in await self.session.execute(waiting)]
        for organization_id, refund_id in found:
            await self.session.execute(
                update(Refund)
                .where(Refund.organization_id == organization_id, Refund.id == refund_id)
                .values(next_attempt_at=until)
            )
        return found

    async def find_refund_for_operators(self, refund_id: UUID) -> domain.Refund | None:
        query = (
            select(Refund, Charge)
            .join(
                Charge,
                (Charge.organization_id == Refund.organization_id)
                & (Charge.id == Refund.charge_id),
            )
            .where(Refund.id == refund_id)
        )
        found = (await self.session.execute(query)).first()
        return None if found is None else found[0].to_domain(found[1])

    async def list_refunds_for_operators(
        self,
        request: PageRequest,
        organization_id: OrganizationId | None,
        status: str | None,
    ) -> Page[domain.Refund]:
        query = select(Refund)
        if organization_id is not None:
            query = query.where(Refund.organization_id == organization_id)
        if status is not None:
            query = query.where(Refund.status == status)
        page = await self.page(query, request, Refund.id, lambda row: row.id)
        charges = await self._charges(page.items)
        return page.map(lambda row: row.to_domain(charges[row.charge_id]))

    async def list_disputes_for_operators(
        self,
        request: PageRequest,
        organization_id: OrganizationId | None,
        *,
        is_open: bool | None,
    ) -> Page[domain.Dispute]:
        query = select(Dispute)
        if organization_id is not None:
            query = query.where(Dispute.organization_id == organization_id)
        if is_open is not None:
            among = Dispute.status.in_(sorted(domain.OPEN_DISPUTES))
            query = query.where(among if is_open else ~among)
        page = await self.page(query, request, Dispute.id, lambda row: row.id)
        charges = await self._charges(page.items)
        return page.map(lambda row: row.to_domain(charges[row.charge_id]))

    async def list_of_invoices(
        self, organization_id: OrganizationId, stripe_invoice_ids: Collection[str]
    ) -> list[tuple[Charge, int]]:
        """Charges that paid these invoices of Stripe's, oldest first, with what our rows say has
        gone back of each."""
        gone = (
            select(func.coalesce(func.sum(Refund.amount), 0))
            .where(
                Refund.organization_id == Charge.organization_id,
                Refund.charge_id == Charge.id,
                Refund.status.not_in(
                    [RefundStatus.REQUESTED.value, *(one.value for one in domain.CAME_TO_NOTHING)]
                ),
            )
            .scalar_subquery()
        )
        found = await self.session.execute(
            select(Charge, gone)
            .where(
                Charge.organization_id == organization_id,
                Charge.stripe_invoice_id.in_(stripe_invoice_ids),
                Charge.status == "succeeded",
            )
            .order_by(Charge.created_at, Charge.id)
        )
        return [(charge, int(back)) for charge, back in found]

    async def _charges(self, rows: list[Refund] | list[Dispute]) -> dict[UUID, Charge]:
        ids = {row.charge_id for row in rows}
        if not ids:
            return {}
        owners = {row.organization_id for row in rows}
        found = await self.session.scalars(
            select(Charge).where(Charge.organization_id.in_(owners), Charge.id.in_(ids))
        )
        return {charge.id: charge for charge in found}
