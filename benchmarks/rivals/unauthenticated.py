"""The service with everybody let in, to see what authentication costs. For measuring only."""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID, uuid4

from fastapi import FastAPI

from app import main
from app.infra.http.principal import Credentials, PrincipalResolver
from app.infra.http.provide import Services
from app.infra.settings import Settings
from app.infra.telemetry.logging import configure_logging
from app.kernel.ids import OrganizationId, UserId
from app.kernel.principal import Permission, Principal
from app.wiring import build_services


class _Anybody(PrincipalResolver):
    """Knows one caller, whatever was presented."""

    def __init__(self, organization_id: UUID) -> None:
        self._principal = Principal(
            user_id=UserId(uuid4()),
            organization_id=OrganizationId(organization_id),
            role="owner",
            permissions=frozenset(Permission),
            is_operator=False,
            token_type="access",
            email="bench@example.com",
        )

    async def resolve(self, credentials: Credentials) -> Principal:
        return self._principal

    def fingerprint(self, bearer: bytes) -> bytes:
        return b""

    def fingerprint_of_key(self, key: bytes) -> bytes:
        return b""

    def recall(self, fingerprint: bytes) -> Principal:
        return self._principal


class _Open(Services):
    """A process's services, but for who is calling."""

    def __init__(self, services: Services, anybody: _Anybody) -> None:
        self._services = services
        self._anybody = anybody

    def __getitem__(self, kind: type[Any]) -> Any:
        return self._anybody if kind is PrincipalResolver else self._services[kind]

    def __contains__(self, kind: type[Any]) -> bool:
        return kind in self._services


def create_app() -> FastAPI:
    settings = Settings()
    configure_logging(settings.log_level, json=False)
    organization_id = UUID(os.environ["BENCH_ORGANIZATION"])
    return main.create_app(services=_Open(build_services(settings), _Anybody(organization_id)))
