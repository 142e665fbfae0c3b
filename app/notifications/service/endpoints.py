"""Endpoints of organizations: made, changed, given another secret, tried out."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken

from app.audit.service import AuditLog
from app.gateways.hooks.gateway import HookGateway
from app.infra.db.locks import advisory_lock
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.security.secret import SigningSecret
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, encode_id, new_id
from app.kernel.pages import Page, PageRequest
from app.notifications.domain import Facts, HookEvent
from app.notifications.endpoints import (
    MOST_ENDPOINTS,
    DeliveryState,
    Endpoint,
    HookDelivery,
    message,
)
from app.notifications.errors import EndpointOff, SecretUnreadable, TooManyEndpoints
from app.notifications.models import WebhookEndpoint
from app.notifications.repository.endpoints import DeliveryRepository, EndpointRepository
from app.notifications.standard_webhooks import new_secret

POST = "notifications.post"
BY_HAND = "switched off by hand"


class SecretBox:
    """Encrypts endpoints' secrets with the deployment's: a copy of the table signs nothing."""

    def __init__(self, secret: SigningSecret) -> None:
        self._box = Fernet(base64.urlsafe_b64encode(secret.derive("webhook-endpoint-secrets")))

    def close(self, secret: str) -> bytes:
        return self._box.encrypt(secret.encode())

    def open(self, stored: bytes) -> str | None:
        """None for what another deployment's secret has closed."""
        try:
            return self._box.decrypt(stored).decode()
        except InvalidToken:
            return None

    def in_force(self, endpoint: WebhookEndpoint, at: datetime) -> Sequence[str]:
        """What to sign with, the newest first. Raises `SecretUnreadable` if it is none."""
        stored = [endpoint.secret]
        if endpoint.previous_secret is not None and endpoint.previous_secret_until is not None:
            stored += [endpoint.previous_secret] if at < endpoint.previous_secret_until else []
        readable = [secret for each in stored if (secret := self.open(each)) is not None]
        if not readable:
            raise SecretUnreadable
        return readable


class EndpointService:
    """Use-cases of endpoints. A secret is shown once, when it is made."""

    def __init__(
        self,
        work: UnitOfWork,
        endpoints: EndpointRepository,
        deliveries: DeliveryRepository,
        hooks: HookGateway,
        secrets: SecretBox,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._work = work
        self._endpoints = endpoints
        self._deliveries = deliveries
        self._hooks = hooks
        self._secrets = secrets
        self._audit = audit
        self._clock = clock

    async def create(
        self,
        organization_id: OrganizationId,
        url: str,
        events: Sequence[HookEvent],
        description: str,
        *,
        actor: str,
    ) -> tuple[Endpoint, str]:
        """Make an endpoint and its secret. Raises `AddressRefused` or `TooManyEndpoints`."""
        self._hooks.check(url)
        secret = new_secret()
        async with self._work.begin(organization_id) as session:
            await advisory_lock(session, "webhook_endpoints", organization_id)
            if await self._endpoints.count(organization_id) >= MOST_ENDPOINTS:
                raise TooManyEndpoints(most=MOST_ENDPOINTS)
            row = WebhookEndpoint(
                organization_id=organization_id,
                id=new_id(),
                url=url,
                description=description,
                events=[event.value for event in events],
                secret=self._secrets.close(secret),
                is_enabled=True,
                last_sequence=0,
                created_by=actor,
                created_at=self._clock.now(),
            )
            await self._endpoints.add(row)
            self._record("created", row, after=_shown(row))
            return row.to_domain(), secret

    async def get(self, organization_id: OrganizationId, endpoint_id: UUID) -> Endpoint:
        """Raises `EndpointNotFound`."""
        async with self._work.begin(organization_id):
            return (await self._endpoints.get(organization_id, endpoint_id)).to_domain()

    async def list(self, organization_id: OrganizationId, request: PageRequest) -> Page[Endpoint]:
        async with self._work.begin(organization_id):
            page = await self._endpoints.list_for_organization(organization_id, request)
            return page.map(lambda row: row.to_domain())

    async def change(
        self, organization_id: OrganizationId, endpoint_id: UUID, changes: Mapping[str, Any]
    ) -> Endpoint:
        """Change some of it. Switched on again, it is sent what waited for it, in order."""
        if "url" in changes:
            self._hooks.check(changes["url"])
        now = self._clock.now()
        async with self._work.begin(organization_id):
            row = await self._endpoints.claim(organization_id, endpoint_id)
            before, was_on = _shown(row), row.is_enabled
            for name, value in changes.items():
                setattr(row, name, value)
            if row.is_enabled and not was_on:
                row.disabled_at = row.disabled_reason = row.failing_since = None
                first = await self._deliveries.find_first(organization_id, endpoint_id)
                if first is not None:
                    first.next_attempt_at = now
                    self._ask(row, f"on:{new_id()}")
            elif was_on and not row.is_enabled:
                row.disabled_at, row.disabled_reason = now, BY_HAND
            if _shown(row) != before:
                self._record("changed", row, before=before, after=_shown(row))
            return row.to_domain()

    async def remove(self, organization_id: OrganizationId, endpoint_id: UUID) -> None:
        """Delete it with its messages; what is being sent at this moment may still arrive."""
        async with self._work.begin(organization_id):
            row = await self._endpoints.claim(organization_id, endpoint_id)
            self._record("deleted", row, before=_shown(row))
            await self._endpoints.remove(organization_id, row)

    async def rotate(
        self, organization_id: OrganizationId, endpoint_id: UUID, overlap: timedelta
    ) -> tuple[Endpoint, str]:
        """Give it another secret; for *overlap* messages are signed with the last one as well."""
        secret = new_secret()
        async with self._work.begin(organization_id):
            row = await self._endpoints.claim(organization_id, endpoint_id)
            row.previous_secret = row.secret if overlap else None
            row.previous_secret_until = self._clock.now() + overlap if overlap else None
            row.secret = self._secrets.close(secret)
            self._record("secret_rotated", row)
            return row.to_domain(), secret

    async def ping(self, organization_id: OrganizationId, endpoint_id: UUID) -> HookDelivery:
        """Queue a message that says nothing, behind what waits. Raises `EndpointOff`."""
        now = self._clock.now()
        async with self._work.begin(organization_id):
            row = await self._claim_on(organization_id, endpoint_id)
            facts = {"endpoint_id": str(endpoint_id)}
            body = message(organization_id, HookEvent.PING, facts, now)
            delivery_id = await self._deliveries.add_once(
                organization_id, row, HookEvent.PING, f"ping:{new_id()}", body, now
            )
            self._ask(row, str(row.last_sequence))
            if delivery_id is None:
                raise LookupError("a ping has a cause of its own")
            found = await self._deliveries.get(organization_id, endpoint_id, delivery_id)
            return found.to_domain()

    async def announce(
        self,
        organization_id: OrganizationId,
        event: HookEvent,
        cause: str,
        facts: Facts,
        at: datetime,
    ) -> None:
        """Queue a message for every endpoint that wants it, once for its cause; joins the unit."""
        async with self._work.begin(organization_id):
            # Locked until the commit, so that no later commit has the earlier place.
            for row in await self._endpoints.claim_listening(organization_id, event):
                body = message(organization_id, event, facts, at)
                if await self._deliveries.add_once(organization_id, row, event, cause, body, at):
                    self._ask(row, str(row.last_sequence))

    async def list_deliveries(
        self,
        organization_id: OrganizationId,
        endpoint_id: UUID,
        request: PageRequest,
        state: DeliveryState | None,
    ) -> Page[HookDelivery]:
        """What was sent or waits, the latest first. Raises `EndpointNotFound`."""
        async with self._work.begin(organization_id):
            await self._endpoints.get(organization_id, endpoint_id)
            page = await self._deliveries.list_for_endpoint(
                organization_id, endpoint_id, request, state
            )
            return page.map(lambda row: row.to_domain())

    async def get_delivery(
        self, organization_id: OrganizationId, endpoint_id: UUID, delivery_id: UUID
    ) -> HookDelivery:
        """Raises `DeliveryNotFound`."""
        async with self._work.begin(organization_id):
            found = await self._deliveries.get(organization_id, endpoint_id, delivery_id)
            return found.to_domain()

    async def resend(
        self, organization_id: OrganizationId, endpoint_id: UUID, delivery_id: UUID
    ) -> HookDelivery:
        """Send a message again, with the same id, behind what waits; one that waits, at once.

        Raises `EndpointOff` or `DeliveryNotFound`.
        """
        now = self._clock.now()
        async with self._work.begin(organization_id):
            row = await self._claim_on(organization_id, endpoint_id)
            delivery = await self._deliveries.get(organization_id, endpoint_id, delivery_id)
            if delivery.state != DeliveryState.PENDING.value:
                row.last_sequence += 1
                delivery.sequence = row.last_sequence
                delivery.state = DeliveryState.PENDING.value
                delivery.attempts = 0
                delivery.settled_at = None
            delivery.next_attempt_at = now
            self._ask(row, f"again:{new_id()}")
            return delivery.to_domain()

    async def _claim_on(
        self, organization_id: OrganizationId, endpoint_id: UUID
    ) -> WebhookEndpoint:
        row = await self._endpoints.claim(organization_id, endpoint_id)
        if not row.is_enabled:
            raise EndpointOff
        return row

    def _ask(self, row: WebhookEndpoint, occasion: str) -> None:
        self._work.enqueue(
            POST,
            {"organization_id": row.organization_id, "endpoint_id": row.id},
            dedupe_key=f"{row.id}:{occasion}",
        )

    def _record(
        self,
        what: str,
        row: WebhookEndpoint,
        before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
    ) -> None:
        self._audit.record(
            f"webhook_endpoints.{what}",
            encode_id("whe", row.id),
            organization_id=OrganizationId(row.organization_id),
            before=before,
            after=after,
        )


def _shown(row: WebhookEndpoint) -> dict[str, object]:
    return {
        "url": row.url,
        "description": row.description,
        "events": list(row.events),
        "is_enabled": row.is_enabled,
    }
