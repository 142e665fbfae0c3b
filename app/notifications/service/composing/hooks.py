"""Endpoints that were switched off."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from app.kernel.ids import OrganizationId, encode_id
from app.notifications.domain import NoticeKind, Told
from app.notifications.errors import EndpointNotFound
from app.notifications.service.endpoints import EndpointService
from app.notifications.service.letters import Compose


class HookLetters:
    """What was switched on again, or deleted, meanwhile is no news."""

    def __init__(self, endpoints: EndpointService) -> None:
        self._endpoints = endpoints

    @property
    def composers(self) -> Mapping[NoticeKind, Compose]:
        return {NoticeKind.ENDPOINT_DISABLED: self.endpoint_disabled}

    async def endpoint_disabled(self, told: Told) -> Mapping[str, object] | None:
        facts, endpoint_id = told.facts, UUID(told.facts["endpoint_id"])
        organization_id = OrganizationId(UUID(facts["organization_id"]))
        try:
            endpoint = await self._endpoints.get(organization_id, endpoint_id)
        except EndpointNotFound:
            return None
        if endpoint.is_enabled:
            return None
        return {
            "host": facts["host"],
            "last_error": facts["last_error"],
            "endpoint_id": encode_id("whe", endpoint_id),
        }
