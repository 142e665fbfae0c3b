"""Sending endpoints their messages: one after the other, each until it is taken."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

import structlog

from app.gateways.hooks.gateway import HookGateway, HookUnavailable
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, encode_id, new_id
from app.notifications.domain import LEASE
from app.notifications.endpoints import (
    ENDPOINT_RETRIES,
    KEPT,
    MOST_ATTEMPTS_SHOWN,
    Attempt,
    DeliveryState,
)
from app.notifications.errors import EndpointNotFound, SecretUnreadable
from app.notifications.events import EndpointDisabled
from app.notifications.models import WebhookDelivery, WebhookEndpoint
from app.notifications.repository.endpoints import DeliveryRepository, EndpointRepository
from app.notifications.service.endpoints import POST, SecretBox
from app.notifications.standard_webhooks import headers

log = structlog.get_logger(__name__)

_AT_ONCE = 20
_GONE = 410
_FORGOTTEN = timedelta(minutes=5)
_SWEEP = 500


@dataclass(frozen=True, slots=True)
class _Taken:
    """A message in somebody's hands."""

    organization_id: OrganizationId
    endpoint_id: UUID
    delivery_id: UUID
    url: str
    body: bytes
    secrets: Sequence[str] | None
    attempt: int


class Posting:
    """At most one message of an endpoint is on its way, and a later one waits for the earlier.

    Endpoints do not wait for one another. A message that arrived may be sent once more, with the
    same id, when its worker dies before noting it.
    """

    def __init__(
        self,
        work: UnitOfWork,
        endpoints: EndpointRepository,
        deliveries: DeliveryRepository,
        hooks: HookGateway,
        secrets: SecretBox,
        clock: Clock,
    ) -> None:
        self._work = work
        self._endpoints = endpoints
        self._deliveries = deliveries
        self._hooks = hooks
        self._secrets = secrets
        self._clock = clock

    async def work_off(self, organization_id: OrganizationId, endpoint_id: UUID) -> None:
        """Send what waits for the endpoint, in order, until one is not taken or none is left.

        A message that fails is tried again when its time comes; the last failure switches the
        endpoint off and tells its organization.
        """
        for _ in range(_AT_ONCE):
            taken = await self._take(organization_id, endpoint_id)
            if taken is None or not await self._settle(taken, await self._attempt(taken)):
                return
        async with self._work.begin(organization_id):
            # Others have their turn first.
            self._ask(organization_id, endpoint_id, f"more:{new_id()}")

    async def sweep(self) -> int:
        """Ask again for endpoints that nobody came for; returns how many."""
        async with self._work.begin_platform():
            forgotten = await self._deliveries.list_forgotten_due(
                self._clock.now() - _FORGOTTEN, _SWEEP
            )
            for organization_id, endpoint_id, first in forgotten:
                self._ask(organization_id, endpoint_id, f"{first}:forgotten")
        return len(forgotten)

    async def forget(self) -> int:
        """Delete messages that were settled a month ago."""
        async with self._work.begin_platform():
            return await self._deliveries.forget_settled_due(self._clock.now() - KEPT)

    async def _take(self, organization_id: OrganizationId, endpoint_id: UUID) -> _Taken | None:
        now = self._clock.now()
        async with self._work.begin(organization_id):
            try:
                endpoint = await self._endpoints.claim(organization_id, endpoint_id)
            except EndpointNotFound:
                endpoint = None
            if endpoint is None or not endpoint.is_enabled:
                return None
            if endpoint.leased_until is not None and endpoint.leased_until > now:
                # Whoever has it goes on to the next by themselves, unless they are dead.
                until = endpoint.leased_until
                self._ask(organization_id, endpoint_id, f"lease:{until.isoformat()}", until)
                return None
            first = await self._deliveries.find_first(organization_id, endpoint_id)
            if first is None or (first.next_attempt_at is not None and first.next_attempt_at > now):
                return None
            first.attempts += 1
            endpoint.leased_until = now + LEASE
            return self._taken(endpoint, first, now)

    def _taken(self, endpoint: WebhookEndpoint, delivery: WebhookDelivery, now: datetime) -> _Taken:
        secrets: Sequence[str] | None
        try:
            secrets = self._secrets.in_force(endpoint, now)
        except SecretUnreadable:
            secrets = None
        return _Taken(
            OrganizationId(endpoint.organization_id),
            endpoint.id,
            delivery.id,
            endpoint.url,
            delivery.body.encode(),
            secrets,
            delivery.attempts,
        )

    async def _attempt(self, taken: _Taken) -> Attempt:
        now, started_at = self._clock.now(), time.perf_counter()
        status, error, excerpt = None, None, ""
        if taken.secrets is None:
            error = "its secret cannot be read since ARAGORA_JWT_SECRET was changed: rotate it"
        else:
            signed = headers(encode_id("msg", taken.delivery_id), now, taken.body, taken.secrets)
            try:
                answer = await self._hooks.post(
                    taken.url, taken.body, {"Content-Type": "application/json", **signed}
                )
                status, excerpt = answer.status, answer.excerpt
            except HookUnavailable as failure:
                error = str(failure.context["reason"])
            except Exception as failure:
                log.exception("notifications.not_posted", delivery=str(taken.delivery_id))
                error = type(failure).__name__
        milliseconds = round((time.perf_counter() - started_at) * 1000)
        return Attempt(now, status, error, excerpt, milliseconds)

    async def _settle(self, taken: _Taken, attempt: Attempt) -> bool:
        """Note what came of it; says whether the next message may follow."""
        now = self._clock.now()
        is_taken = attempt.status is not None and 200 <= attempt.status < 300
        async with self._work.begin(taken.organization_id):
            try:
                endpoint = await self._endpoints.claim(taken.organization_id, taken.endpoint_id)
            except EndpointNotFound:
                return False
            delivery = await self._deliveries.get(
                taken.organization_id, taken.endpoint_id, taken.delivery_id
            )
            if delivery.attempts != taken.attempt and not is_taken:
                return False  # the lease ran out, and somebody else's attempt counts now
            endpoint.leased_until = None
            delivery.last_attempts = [*delivery.last_attempts, attempt.to_json()][
                -MOST_ATTEMPTS_SHOWN:
            ]
            if is_taken:
                delivery.state = DeliveryState.SENT.value
                delivery.settled_at, delivery.next_attempt_at = now, None
                endpoint.failing_since = None
                return True
            endpoint.failing_since = endpoint.failing_since or now
            if taken.attempt <= len(ENDPOINT_RETRIES) and attempt.status != _GONE:
                due_at = now + ENDPOINT_RETRIES[taken.attempt - 1]
                delivery.next_attempt_at = due_at
                key = f"{taken.delivery_id}:{taken.attempt + 1}"
                self._ask(taken.organization_id, taken.endpoint_id, key, due_at)
                return False
            delivery.state = DeliveryState.FAILED.value
            delivery.settled_at, delivery.next_attempt_at = now, None
            self._switch_off(endpoint, attempt, now)
            return False

    def _switch_off(self, endpoint: WebhookEndpoint, attempt: Attempt, now: datetime) -> None:
        last_error = attempt.error or f"HTTP {attempt.status}"
        endpoint.is_enabled = False
        endpoint.disabled_at, endpoint.disabled_reason = now, last_error
        log.warning("notifications.endpoint_off", endpoint=str(endpoint.id), reason=last_error)
        self._work.announce(
            EndpointDisabled(
                organization_id=endpoint.organization_id,
                endpoint_id=endpoint.id,
                host=urlsplit(endpoint.url).hostname or "",
                last_error=last_error,
                disabled_at=now,
            )
        )

    def _ask(
        self,
        organization_id: OrganizationId,
        endpoint_id: UUID,
        occasion: str,
        due_at: datetime | None = None,
    ) -> None:
        self._work.enqueue(
            POST,
            {"organization_id": organization_id, "endpoint_id": endpoint_id},
            dedupe_key=f"{endpoint_id}:{occasion}",
            due_at=due_at,
        )
