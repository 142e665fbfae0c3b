"""Endpoints and their messages, in and out."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId, new_id
from app.kernel.pages import Page, PageRequest
from app.notifications.domain import HookEvent
from app.notifications.endpoints import DeliveryState
from app.notifications.errors import DeliveryNotFound, EndpointNotFound
from app.notifications.models import WebhookDelivery, WebhookEndpoint

_PENDING = DeliveryState.PENDING.value


class EndpointRepository(Repository):
    """Endpoints."""

    async def add(self, endpoint: WebhookEndpoint) -> None:
        self.session.add(endpoint)
        await self.session.flush()

    async def count(self, organization_id: OrganizationId) -> int:
        found = await self.session.scalar(
            select(func.count())
            .select_from(WebhookEndpoint)
            .where(WebhookEndpoint.organization_id == organization_id)
        )
        return found or 0

    async def get(self, organization_id: OrganizationId, endpoint_id: UUID) -> WebhookEndpoint:
        """Raises `EndpointNotFound`."""
        found = await self.session.get(WebhookEndpoint, (organization_id, endpoint_id))
        if found is None:
            raise EndpointNotFound
        return found

    async def claim(self, organization_id: OrganizationId, endpoint_id: UUID) -> WebhookEndpoint:
        """The endpoint, locked until the unit ends. Raises `EndpointNotFound`."""
        found = await self.session.get(
            WebhookEndpoint,
            (organization_id, endpoint_id),
            with_for_update=True,
            populate_existing=True,
        )
        if found is None:
            raise EndpointNotFound
        return found

    async def claim_listening(
        self, organization_id: OrganizationId, event: HookEvent
    ) -> list[WebhookEndpoint]:
        """Those that are on and want *event*, locked in order: so messages get their sequence in
        the order in which they are committed."""
        found = await self.session.scalars(
            select(WebhookEndpoint)
            .where(WebhookEndpoint.organization_id == organization_id, WebhookEndpoint.is_enabled)
            .order_by(WebhookEndpoint.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        return [each for each in found if not each.events or event.value in each.events]

    async def list_for_organization(
        self, organization_id: OrganizationId, request: PageRequest
    ) -> Page[WebhookEndpoint]:
        query = select(WebhookEndpoint).where(WebhookEndpoint.organization_id == organization_id)
        return await self.page(query, request, WebhookEndpoint.id, lambda row: row.id)

    async def remove(self, organization_id: OrganizationId, endpoint: WebhookEndpoint) -> None:
        await self.session.delete(endpoint)
        await self.session.flush()


class DeliveryRepository(Repository):
    """Messages to endpoints."""

    async def add_once(
        self,
        organization_id: OrganizationId,
        endpoint: WebhookEndpoint,
        event: HookEvent,
        cause: str,
        body: str,
        at: datetime,
    ) -> UUID | None:
        """Store a message behind those that wait, unless its cause has one.

        The endpoint is locked by the caller. Returns the id of a new one.
        """
        stored = await self.session.execute(
            insert(WebhookDelivery)
            .values(
                organization_id=organization_id,
                id=new_id(),
                endpoint_id=endpoint.id,
                sequence=endpoint.last_sequence + 1,
                cause=cause,
                event=event.value,
                body=body,
                state=_PENDING,
                attempts=0,
                next_attempt_at=at,
                last_attempts=[],
                created_at=at,
            )
            .on_conflict_do_nothing()
            .returning(WebhookDelivery.id)
        )
        added: UUID | None = stored.scalar_one_or_none()
        if added is not None:
            endpoint.last_sequence += 1
        return added

    async def find_first(
        self, organization_id: OrganizationId, endpoint_id: UUID
    ) -> WebhookDelivery | None:
        """The message that the endpoint is to be told next."""
        return await self.session.scalar(
            select(WebhookDelivery)
            .where(
                WebhookDelivery.organization_id == organization_id,
                WebhookDelivery.endpoint_id == endpoint_id,
                WebhookDelivery.state == _PENDING,
            )
            .order_by(WebhookDelivery.sequence)
            .limit(1)
            .execution_options(populate_existing=True)
        )

    async def get(
        self, organization_id: OrganizationId, endpoint_id: UUID, delivery_id: UUID
    ) -> WebhookDelivery:
        """Raises `DeliveryNotFound`."""
        found = await self.session.get(
            WebhookDelivery, (organization_id, delivery_id), populate_existing=True
        )
        if found is None or found.endpoint_id != endpoint_id:
            raise DeliveryNotFound
        return found

    async def list_for_endpoint(
        self,
        organization_id: OrganizationId,
        endpoint_id: UUID,
        request: PageRequest,
        state: DeliveryState | None,
    ) -> Page[WebhookDelivery]:
        query = select(WebhookDelivery).where(
            WebhookDelivery.organization_id == organization_id,
            WebhookDelivery.endpoint_id == endpoint_id,
        )
        if state is not None:
            query = query.where(WebhookDelivery.state == state.value)
        return await self.page(query, request, WebhookDelivery.id, lambda row: row.id)

    async def list_forgotten_due(
        self, before: datetime, limit: int
    ) -> list[tuple[OrganizationId, UUID, int]]:
        """Endpoints with a message that should have gone out before *before*, and nobody at it."""
        found = await self.session.execute(
            select(
                WebhookDelivery.organization_id,
                WebhookDelivery.endpoint_id,
                func.min(WebhookDelivery.sequence),
            )
            .join(
                WebhookEndpoint,
                (WebhookEndpoint.organization_id == WebhookDelivery.organization_id)
                & (WebhookEndpoint.id == WebhookDelivery.endpoint_id),
            )
            .where(
                WebhookDelivery.state == _PENDING,
                WebhookDelivery.next_attempt_at < before,
                WebhookEndpoint.is_enabled,
                WebhookEndpoint.leased_until.is_(None) | (WebhookEndpoint.leased_until < before),
            )
            .group_by(WebhookDelivery.organization_id, WebhookDelivery.endpoint_id)
            .limit(limit)
        )
        return [(OrganizationId(owner), endpoint, first) for owner, endpoint, first in found]

    async def forget_settled_due(self, before: datetime) -> int:
        """Delete messages that were settled before *before*; returns how many."""
        gone = await self.session.execute(
            delete(WebhookDelivery).where(WebhookDelivery.settled_at < before)
        )
        return int(getattr(gone, "rowcount", 0))
