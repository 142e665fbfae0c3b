"""Few exports at a time, so that the pool and the cores are left to everybody else."""

from __future__ import annotations

from collections import Counter

from app.kernel.errors import Unavailable
from app.kernel.ids import OrganizationId


class ExportsBusy(Unavailable):
    """Other exports are running; this one can begin when they are done."""

    code = "exports_busy"


class ExportPlaces:
    """The exports of one kind that this process runs at once: in all, and for one organization."""

    def __init__(self, *, in_all: int, each: int, retry_seconds: int) -> None:
        self._in_all = in_all
        self._each = each
        self._retry_seconds = retry_seconds
        self._taken: Counter[OrganizationId] = Counter()

    def take(self, organization_id: OrganizationId) -> ExportPlace:
        """A place until it is left. Raises `ExportsBusy`."""
        if self._taken[organization_id] >= self._each or self._taken.total() >= self._in_all:
            raise ExportsBusy(retry_after_seconds=self._retry_seconds)
        self._taken[organization_id] += 1
        return ExportPlace(self._taken, organization_id)


class ExportPlace:
    """One export's place. Whoever took it leaves it, or it stays taken."""

    def __init__(self, taken: Counter[OrganizationId], organization_id: OrganizationId) -> None:
        self._taken = taken
        self._organization_id = organization_id
        self._is_held = True

    def leave(self) -> None:
        """Give the place back. The second call does nothing."""
        if self._is_held:
            self._is_held = False
            self._taken[self._organization_id] -= 1
            # Counts of nought would be kept for every organization that ever exported.
            self._taken += Counter()
