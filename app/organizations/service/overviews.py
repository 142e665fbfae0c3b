"""An organization at a glance: plan, use, seats."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId
from app.organizations.domain import HEADLINE_METRIC, Overview, Seats, UsageReader, current_window
from app.organizations.repository import (
    InviteRepository,
    MemberRepository,
    OrganizationRepository,
)


class OverviewService:
    """Reads what several tables say about one organization."""

    def __init__(
        self,
        work: UnitOfWork,
        organizations: OrganizationRepository,
        members: MemberRepository,
        invites: InviteRepository,
        usage: Callable[[], UsageReader | None],
        clock: Clock,
    ) -> None:
        self._work = work
        self._organizations = organizations
        self._members = members
        self._invites = invites
        self._usage = usage
        self._clock = clock

    async def overview(self, organization_id: OrganizationId) -> Overview:
        """Raises `OrganizationNotFound`."""
        now = self._clock.now()
        reader = self._usage()
        async with self._work.begin(organization_id):
            organization = (await self._organizations.get(organization_id)).to_domain()
            used, held = Decimal(0), Decimal(0)
            if reader is not None:
                used, held = await reader.used(organization_id, HEADLINE_METRIC)
            taken = await self._members.count(organization_id)
            taken += await self._invites.count_open(organization_id, now)
        return Overview(
            organization=organization,
            window=current_window(organization.entitlements.window, now),
            used=used,
            held=held,
            seats=Seats(taken, organization.entitlements.seat_limit),
        )
