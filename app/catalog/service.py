"""The active catalog, and every version that somebody bought."""

from __future__ import annotations

from uuid import UUID

from app.catalog.document import CatalogFile, StripePriceIds, catalog_of, read_catalog
from app.catalog.domain import Catalog
from app.catalog.errors import UnknownCatalogVersion
from app.catalog.models import CatalogVersion
from app.catalog.repository import CatalogRepository
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock


class CatalogService:
    """Loads the deployment's catalog once, at start, and remembers the versions it was asked for."""

    def __init__(
        self,
        work: UnitOfWork,
        versions: CatalogRepository,
        clock: Clock,
        source: str,
        price_ids: StripePriceIds,
    ) -> None:
        self._work = work
        self._versions = versions
        self._clock = clock
        self._price_ids = price_ids
        self._file: CatalogFile = read_catalog(source)
        self._active = catalog_of(self._file, price_ids)
        self._known: dict[UUID, Catalog] = {self._active.id: self._active}

    @property
    def active(self) -> Catalog:
        """The catalog that new subscriptions buy from."""
        return self._active

    async def store_active(self) -> None:
        """Keep the active version for ever. Repeating it, from any process, changes nothing."""
        async with self._work.begin_platform():
            await self._versions.add(
                CatalogVersion(
                    id=self._active.id,
                    content_hash=self._file.content_hash,
                    name=self._file.name,
                    document=self._file.document,
                    created_at=self._clock.now(),
                )
            )

    async def version(self, version_id: UUID) -> Catalog:
        """A version as it was bought. Raises `UnknownCatalogVersion`."""
        known = self._known.get(version_id)
        if known is not None:
            return known
        async with self._work.begin_platform():
            stored = await self._versions.find(version_id)
        if stored is None:
            raise UnknownCatalogVersion
        catalog = catalog_of(CatalogFile.stored(stored.document), self._price_ids)
        self._known[version_id] = catalog
        return catalog
