"""Old months of events leave the database for a file, and can come back until they are dropped."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog
from sqlalchemy.exc import DBAPIError

from app.infra.db.locks import advisory_lock
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.periods import Period, plus_months
from app.usage.archive_file import Manifest, read, sha256, told, write, write_manifest
from app.usage.domain import OLDEST
from app.usage.errors import ArchiveNotFaithful, EventArchived, MonthNotArchivable
from app.usage.models import UsageArchive
from app.usage.repository.partitions import PartitionRepository, partition

log = structlog.get_logger(__name__)

_LINES = 5000
_FULLNESS = 1.1


@dataclass(frozen=True, slots=True)
class Stored:
    """A part of the events: where it is, how large, and of how many rows."""

    name: str
    state: str
    bytes: int | None
    events: int


class ArchivedMonths:
    """Says no to whoever asks for events that are no longer here."""

    def __init__(self, partitions: PartitionRepository, clock: Clock) -> None:
        self._partitions = partitions
        self._clock = clock

    async def refuse(self, since: datetime, until: datetime) -> None:
        """Raises `EventArchived` if a month of the stretch has left. Joins the caller's unit."""
        if since >= self._clock.now() - OLDEST:
            return
        archive = await self._partitions.find_archive(since, until)
        if archive is not None:
            raise EventArchived(month=f"{archive.starts_at:%Y-%m}")


class UsageArchives:
    """Archives months in steps, each of which can be the last one before a crash.

    Detach (a moment under a lock; from then on nobody can change the rows), write the file, read
    it back from the disk and compare it with the rows, drop. Whoever runs it again goes on where
    it stopped. The rivals: to export while the month is still attached, which has to be compared
    again under the lock because a void may have changed it; or one transaction around all of it,
    which keeps VACUUM from the counters for as long as a month takes to write.
    """

    def __init__(self, work: UnitOfWork, partitions: PartitionRepository, clock: Clock) -> None:
        self._work = work
        self._partitions = partitions
        self._clock = clock

    async def stored(self) -> Sequence[Stored]:
        """Every part of the events: files first, then detached months, then attached ones."""
        async with self._work.begin_platform():
            attached = await self._partitions.list_partitions()
            detached = await self._partitions.list_detached()
            archives = await self._partitions.list_archives()
        return [
            *(
                Stored(archive.relation, archive.state, None, int(archive.manifest["events"]))
                for archive in archives
                if archive.manifest is not None
            ),
            *(Stored(name, "detached", size, rows) for name, size, rows in detached),
            *(Stored(name, "attached", size, rows) for name, size, rows in attached),
        ]

    async def archive(self, month: Period, folder: Path, *, keep_months: int) -> Manifest | None:
        """Move a month into a file in *folder*; None if there is nothing to move.

        Raises `MonthNotArchivable` for a month that is not over for *keep_months*, that may still
        receive events or holds unpriced ones, `ArchiveNotFaithful`, and `OSError`.
        """
        archive = await self._detached(month, folder, keep_months)
        if archive is None:
            return None
        suffix = "" if archive.portion == 1 else f"_{archive.portion}"
        path = folder / f"{partition(month)}{suffix}.ndjson.gz"
        async with self._work.begin_platform():
            content = told(await self._partitions.content(archive.relation))
        if not self._is_faithful(path, content):
            await write(path, self._pages(archive.relation))
        kept = read(path).told()
        if kept != content:
            names = ", ".join(name for name in content if content[name] != kept[name])
            raise ArchiveNotFaithful(file=str(path), difference=names)
        manifest: Manifest = {
            "month": f"{month.start:%Y-%m}",
            "portion": archive.portion,
            **content,
            "events": int(content["events"]),
            "file": path.name,
            "bytes": path.stat().st_size,
            "sha256": sha256(path),
            "exported_at": self._clock.now().isoformat(),
        }
        write_manifest(path.with_suffix("").with_suffix(".manifest.json"), manifest)
        async with self._work.begin_platform():
            found = await self._partitions.find_detached(month)
            if found is not None:
                await self._partitions.drop(found, manifest, self._clock.now())
                log.info("usage.archived", month=manifest["month"], events=manifest["events"])
        return manifest

    async def attach(self, month: Period) -> bool:
        """Put a month back that was detached and not dropped; says whether there was one."""
        async with self._work.begin_platform() as session:
            await advisory_lock(session, "usage", "partitions")
            archive = await self._partitions.find_detached(month)
            if archive is None:
                return False
            with _busy(month):
                await self._partitions.give_up_soon()
                await self._partitions.attach(archive)
            return True

    async def _detached(self, month: Period, folder: Path, keep_months: int) -> UsageArchive | None:
        now = self._clock.now()
        if plus_months(month.end, keep_months) > now:
            self._refuse(month, f"it is not over for {keep_months} months")
        if month.end > now - OLDEST:
            self._refuse(month, "it may still receive events")
        async with self._work.begin_platform() as session:
            await advisory_lock(session, "usage", "partitions")
            found = await self._partitions.find_detached(month)
            if found is not None:
                return found
            name = partition(month)
            if not await self._partitions.exists(month):
                if not await self._partitions.waiting(month, 0):
                    return None
                await self._partitions.take_time()
                await self._partitions.add_month(month)
            unpriced = await self._partitions.unpriced(name)
            if unpriced:
                models = ", ".join(f"{model} ({count})" for model, count in unpriced)
                self._refuse(month, f"events without a price: {models}")
            size = next(
                (
                    size
                    for each, size, _ in await self._partitions.list_partitions()
                    if each == name
                ),
                0,
            )
            if shutil.disk_usage(folder).free < size * _FULLNESS:
                self._refuse(month, f"{folder} has less than the {size} bytes that it may need")
            with _busy(month):
                await self._partitions.give_up_soon()
                return await self._partitions.detach(month, now)

    def _refuse(self, month: Period, reason: str) -> None:
        raise MonthNotArchivable(month=f"{month.start:%Y-%m}", reason=reason)

    def _is_faithful(self, path: Path, content: dict[str, str]) -> bool:
        """Whether an earlier run has left the file as it must be."""
        try:
            return path.exists() and read(path).told() == content
        except (OSError, ValueError, KeyError):
            return False

    async def _pages(self, relation: str) -> AsyncIterator[list[str]]:
        after = None
        while True:
            async with self._work.begin_platform():
                rows = await self._partitions.lines(relation, after, _LINES)
            if not rows:
                return
            yield [row["line"] for row in rows]
            after = [rows[-1][name] for name in ("organization_id", "id", "occurred_at")]


@contextmanager
def _busy(month: Period) -> Iterator[None]:
    """Say in our words that a lock was not to be had."""
    try:
        yield
    except DBAPIError as error:
        if "lock timeout" not in str(error.orig):
            raise
        reason = "its table is busy; try again"
        raise MonthNotArchivable(month=f"{month.start:%Y-%m}", reason=reason) from error
