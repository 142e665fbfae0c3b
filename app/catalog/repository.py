"""Catalog versions in and out."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.dialects.postgresql import insert

from app.catalog.models import CatalogVersion
from app.infra.db.repository import Repository


class CatalogRepository(Repository):
    """The table of `models.py`; rows are added, never changed."""

    platform = True

    async def add(self, version: CatalogVersion) -> None:
        """Store *version* unless it is there already; two processes may try at once."""
        await self.session.execute(
            insert(CatalogVersion)
            .values(
                id=version.id,
                content_hash=version.content_hash,
                name=version.name,
                document=version.document,
                created_at=version.created_at,
            )
            .on_conflict_do_nothing()
        )

    async def find(self, version_id: UUID) -> CatalogVersion | None:
        return await self.session.get(CatalogVersion, version_id)
