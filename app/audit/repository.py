"""Entries in and out."""

from __future__ import annotations

from sqlalchemy import select

from app.audit.models import AuditEntry, PlatformAuditEntry
from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId
from app.kernel.pages import Page, PageRequest


class AuditRepository(Repository):
    """The two books of `models.py`."""

    def add(self, entry: AuditEntry | PlatformAuditEntry) -> None:
        self.session.add(entry)

    async def list_for_organization(
        self, organization_id: OrganizationId, request: PageRequest
    ) -> Page[AuditEntry]:
        query = select(AuditEntry).where(AuditEntry.organization_id == organization_id)
        return await self.page(query, request, AuditEntry.id, lambda entry: entry.id)

    async def list_for_operators(self, request: PageRequest) -> Page[AuditEntry]:
        """Entries of every organization, newest first."""
        return await self.page(select(AuditEntry), request, AuditEntry.id, lambda entry: entry.id)

    async def list_for_platform(self, request: PageRequest) -> Page[PlatformAuditEntry]:
        return await self.page(
            select(PlatformAuditEntry), request, PlatformAuditEntry.id, lambda entry: entry.id
        )
