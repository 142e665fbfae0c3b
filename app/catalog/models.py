"""Versions of the catalog."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from app.infra.db.base import PlatformTable


class CatalogVersion(PlatformTable):
    """A catalog as it was when it was first used. The id is made from the content's hash."""

    __tablename__ = "catalog_versions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    content_hash: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    document: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
