"""A job for each kind of notice, which a fact wakes, and the sending of what they wrote down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from uuid import UUID

from app.infra.http.provide import Services
from app.infra.jobs.worker import Payload
from app.kernel.ids import OrganizationId
from app.notifications.domain import NoticeKind
from app.notifications.kinds import job_of
from app.notifications.service.delivery import DELIVER, Delivery
from app.notifications.service.endpoints import POST
from app.notifications.service.posting import Posting
from app.notifications.service.telling import Telling


async def _tell(kind: NoticeKind, payload: Payload, services: Services) -> None:
    await services[Telling].tell(kind, payload)


async def deliver(payload: Payload, services: Services) -> None:
    owner = payload["organization_id"]
    organization_id = OrganizationId(UUID(owner)) if owner is not None else None
    await services[Delivery].deliver(organization_id, UUID(payload["notice_id"]))


async def post(payload: Payload, services: Services) -> None:
    await services[Posting].work_off(
        OrganizationId(UUID(payload["organization_id"])), UUID(payload["endpoint_id"])
    )


async def sweep(payload: Payload, services: Services) -> None:
    await services[Delivery].sweep()
    await services[Posting].sweep()


async def forget(payload: Payload, services: Services) -> None:
    await services[Posting].forget()


JOBS: dict[str, Callable[[Payload, Services], Awaitable[None]]] = {
    **{job_of(kind): partial(_tell, kind) for kind in NoticeKind},
    DELIVER: deliver,
    POST: post,
    "notifications.sweep": sweep,
    "notifications.forget": forget,
}
