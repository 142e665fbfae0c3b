"""What this process knows of an organization's plan, and how it notices that it changed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.entitlements import MetricLimit
from app.kernel.ids import OrganizationId
from app.kernel.periods import Period
from app.organizations.domain import QuotaWindows
from app.organizations.service import OrganizationService
from app.usage.domain import microseconds_of
from app.usage.repository.reading import UsageRepository

_KEPT = 50_000


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time, in microseconds since 1970, that counts in one window throughout."""

    window: Period
    window_start: int
    since: int
    until: int


@dataclass(slots=True)
class Tenant:
    """An organization's plan as of `stamp`, the version of its row."""

    stamp: int
    plan: str
    limits: Mapping[str, MetricLimit]
    features: frozenset[str]
    windows: QuotaWindows
    _latest: Stretch | None = field(default=None, init=False, repr=False, compare=False)

    def stretch(self, at: datetime, microseconds: int) -> Stretch:
        """The time around *at* and its window; hardly an event comes from another than the last."""
        latest = self._latest
        if latest is None or not latest.since <= microseconds < latest.until:
            window, around = self.windows.at(at), self.windows.around(at)
            latest = self._latest = Stretch(
                window,
                microseconds_of(window.start),
                microseconds_of(around.start),
                microseconds_of(around.end),
            )
        return latest


class Tenants:
    """Copies of entitlements. A copy may be old; whoever writes by it checks the stamp.

    The rivals are a query before each write, or signals that arrive a moment late: the check of
    the stamp inside the writing statement costs neither, and holds.
    """

    def __init__(
        self, work: UnitOfWork, usage: UsageRepository, organizations: OrganizationService
    ) -> None:
        self._work = work
        self._usage = usage
        self._organizations = organizations
        self._known: OrderedDict[OrganizationId, Tenant] = OrderedDict()

    def known(self, organization_id: OrganizationId) -> Tenant | None:
        return self._known.get(organization_id)

    async def current(self, organization_id: OrganizationId) -> Tenant:
        """The plan as it is now. Raises `OrganizationNotFound`."""
        async with self._work.begin(organization_id):
            # The stamp first: what is read after it is as new or newer, never older.
            stamps = await self._usage.stamps_for_operators([organization_id])
            stamp = stamps.get(organization_id, 0)
            known = self._known.get(organization_id)
            if known is not None and known.stamp == stamp:
                return known
            granted = await self._organizations.entitlements(organization_id)
            windows = await self._organizations.quota_windows(organization_id)
        tenant = Tenant(stamp, granted.plan, granted.limits, granted.features, windows)
        self._known[organization_id] = tenant
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return tenant

    async def refresh(self, organization_ids: Sequence[OrganizationId]) -> None:
        """Read again those whose row has changed since they were read."""
        async with self._work.begin_platform():
            stamps = await self._usage.stamps_for_operators(organization_ids)
        for organization_id in organization_ids:
            known = self._known.get(organization_id)
            if known is None or known.stamp != stamps.get(organization_id):
                await self.current(organization_id)
