"""Organizations' own webhook endpoints over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter

from app.infra.http.idempotency import IdempotentRoute
from app.infra.http.principal import needs
from app.infra.http.provide import provide
from app.infra.http.schemas import PageOut, Paging
from app.kernel.principal import Permission, Principal
from app.notifications.endpoints import DeliveryState
from app.notifications.schemas import (
    EndpointId,
    EndpointIn,
    EndpointOut,
    EndpointPatch,
    EndpointSecretOut,
    HookDeliveryOut,
    MessageId,
    RotateIn,
)
from app.notifications.service.endpoints import EndpointService

router = APIRouter(
    prefix="/notifications/endpoints", tags=["notifications"], route_class=IdempotentRoute
)

Endpoints = Annotated[EndpointService, provide(EndpointService)]
Admin = Annotated[Principal, needs(Permission.ORGANIZATION_WRITE)]
"""Owners and admins: an address may itself be a secret."""


@router.post("", response_model=EndpointSecretOut, status_code=201)
async def create_webhook_endpoint(
    body: EndpointIn, principal: Admin, endpoints: Endpoints
) -> EndpointSecretOut:
    """Tell an address of yours what happens, signed after Standard Webhooks.

    The secret is in this answer and nowhere else. Messages of one endpoint come in order, each
    until it is answered with 2xx, for up to three days; then the endpoint is switched off and
    whoever looks after billing is mailed.
    """
    return EndpointSecretOut.with_secret(
        await endpoints.create(
            principal.organization,
            body.url,
            body.events,
            body.description,
            actor=principal.actor,
        )
    )


@router.get("", response_model=PageOut[EndpointOut], status_code=200)
async def list_webhook_endpoints(
    principal: Admin, endpoints: Endpoints, paging: Paging
) -> PageOut[EndpointOut]:
    """Your organization's endpoints, the latest first."""
    return PageOut.of(await endpoints.list(principal.organization, paging), EndpointOut.of)


@router.get("/{endpoint_id}", response_model=EndpointOut, status_code=200)
async def get_webhook_endpoint(
    endpoint_id: EndpointId, principal: Admin, endpoints: Endpoints
) -> EndpointOut:
    """One endpoint, without its secret."""
    return EndpointOut.of(await endpoints.get(principal.organization, endpoint_id))


@router.patch("/{endpoint_id}", response_model=EndpointOut, status_code=200)
async def change_webhook_endpoint(
    endpoint_id: EndpointId, body: EndpointPatch, principal: Admin, endpoints: Endpoints
) -> EndpointOut:
    """Change its address or its events, or switch it off and on. What waits is kept meanwhile."""
    return EndpointOut.of(
        await endpoints.change(principal.organization, endpoint_id, body.changes())
    )


@router.delete("/{endpoint_id}", status_code=204)
async def delete_webhook_endpoint(
    endpoint_id: EndpointId, principal: Admin, endpoints: Endpoints
) -> None:
    """Delete an endpoint with what waits for it."""
    await endpoints.remove(principal.organization, endpoint_id)


@router.post("/{endpoint_id}/rotate", response_model=EndpointSecretOut, status_code=200)
async def rotate_webhook_secret(
    endpoint_id: EndpointId, body: RotateIn, principal: Admin, endpoints: Endpoints
) -> EndpointSecretOut:
    """Give it another secret. Until the overlap ends messages are signed with both."""
    return EndpointSecretOut.with_secret(
        await endpoints.rotate(
            principal.organization, endpoint_id, timedelta(hours=body.overlap_hours)
        )
    )


@router.post("/{endpoint_id}/ping", response_model=HookDeliveryOut, status_code=202)
async def ping_webhook_endpoint(
    endpoint_id: EndpointId, principal: Admin, endpoints: Endpoints
) -> HookDeliveryOut:
    """Send it an `endpoint.ping`, behind what waits. See its deliveries for what came of it."""
    return HookDeliveryOut.of(await endpoints.ping(principal.organization, endpoint_id))


@router.get("/{endpoint_id}/deliveries", response_model=PageOut[HookDeliveryOut], status_code=200)
async def list_webhook_deliveries(
    endpoint_id: EndpointId,
    principal: Admin,
    endpoints: Endpoints,
    paging: Paging,
    state: DeliveryState | None = None,
) -> PageOut[HookDeliveryOut]:
    """What was sent and what waits, the latest first, with the last attempts of each."""
    page = await endpoints.list_deliveries(principal.organization, endpoint_id, paging, state)
    return PageOut.of(page, HookDeliveryOut.of)


@router.get(
    "/{endpoint_id}/deliveries/{delivery_id}", response_model=HookDeliveryOut, status_code=200
)
async def get_webhook_delivery(
    endpoint_id: EndpointId, delivery_id: MessageId, principal: Admin, endpoints: Endpoints
) -> HookDeliveryOut:
    """One message, and what became of it."""
    found = await endpoints.get_delivery(principal.organization, endpoint_id, delivery_id)
    return HookDeliveryOut.of(found)


@router.post(
    "/{endpoint_id}/deliveries/{delivery_id}/resend",
    response_model=HookDeliveryOut,
    status_code=202,
)
async def resend_webhook_delivery(
    endpoint_id: EndpointId, delivery_id: MessageId, principal: Admin, endpoints: Endpoints
) -> HookDeliveryOut:
    """Send a message again under the same id, behind what waits; one that waits, at once."""
    found = await endpoints.resend(principal.organization, endpoint_id, delivery_id)
    return HookDeliveryOut.of(found)
