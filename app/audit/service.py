"""Writing and reading the audit log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from app.audit.models import AuditEntry, PlatformAuditEntry
from app.audit.repository import AuditRepository
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.telemetry.context import request_id
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId
from app.kernel.pages import Page, PageRequest

SYSTEM = "system"

_actor: ContextVar[str] = ContextVar("audit_actor", default=SYSTEM)


@contextmanager
def acting_as(actor: str) -> Iterator[None]:
    """Entries written inside name *actor*; for jobs and commands. Requests use `now_acting`."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


def now_acting(actor: str) -> None:
    """From here to the end of this request, entries name *actor* (`user:…`, `key:…`)."""
    _actor.set(actor)


class AuditLog:
    """Records changes in the unit of work that makes them."""

    def __init__(self, work: UnitOfWork, entries: AuditRepository, clock: Clock) -> None:
        self._work = work
        self._entries = entries
        self._clock = clock

    def record(
        self,
        action: str,
        target: str,
        *,
        organization_id: OrganizationId | None,
        before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
        reason: str | None = None,
        actor: str | None = None,
    ) -> None:
        """Note a change: *action* is dotted past (`members.role_changed`), *target* an id.

        Call inside the unit that changes it. Without an organization it goes to the platform's
        book. *before* and *after* hold only what changed, and never a secret.
        """
        common: dict[str, Any] = {
            "occurred_at": self._clock.now(),
            "actor": actor or _actor.get(),
            "action": action,
            "target": target,
            "before": _plain(before),
            "after": _plain(after),
            "reason": reason,
            "request_id": request_id.get(),
        }
        if organization_id is None:
            self._entries.add(PlatformAuditEntry(**common))
        else:
            self._entries.add(AuditEntry(organization_id=organization_id, **common))

    async def list_for_organization(
        self, organization_id: OrganizationId, request: PageRequest
    ) -> Page[AuditEntry]:
        async with self._work.begin(organization_id):
            return await self._entries.list_for_organization(organization_id, request)

    async def list_for_operators(self, request: PageRequest) -> Page[AuditEntry]:
        async with self._work.begin_platform():
            return await self._entries.list_for_operators(request)

    async def list_for_platform(self, request: PageRequest) -> Page[PlatformAuditEntry]:
        async with self._work.begin_platform():
            return await self._entries.list_for_platform(request)


def _plain(values: Mapping[str, object] | None) -> dict[str, Any] | None:
    if values is None:
        return None
    return {name: _json(value) for name, value in values.items()}


def _json(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(name): _json(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_json(item) for item in value]
    return value
