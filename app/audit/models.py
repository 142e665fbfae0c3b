"""The two books: one per organization, one for the platform."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.db.base import PlatformTable, TenantTable
from app.kernel.ids import new_id


class _Entry:
    """What both books write down."""

    occurred_at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str]
    target: Mapped[str]
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    reason: Mapped[str | None]
    request_id: Mapped[str | None]


class AuditEntry(_Entry, TenantTable):
    """A change inside an organization."""

    __tablename__ = "audit_entries"
    __table_args__ = (Index(None, "id"),)


class PlatformAuditEntry(_Entry, PlatformTable):
    """A change to what belongs to nobody: catalog, prices, operators, people."""

    __tablename__ = "platform_audit_entries"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
