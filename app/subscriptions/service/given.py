"""Writing down from when until when a given plan was what counted."""

from __future__ import annotations

from datetime import datetime

from app.catalog.domain import Catalog
from app.kernel.entitlements import Entitlements
from app.kernel.ids import OrganizationId, new_id
from app.subscriptions.models import GivenStretch, ManualPlan
from app.subscriptions.repository_given import StretchRepository


class GivenStretches:
    """Joins the unit that grants, so that what was granted and what is billed do not differ.

    Needs the organization's lock.
    """

    def __init__(self, stretches: StretchRepository) -> None:
        self._stretches = stretches

    async def follow(
        self,
        organization_id: OrganizationId,
        given: ManualPlan | None,
        beneath: Entitlements,
        catalog: Catalog,
        now: datetime,
    ) -> str | None:
        """From *now* on *given* counts, or with None what is *beneath*; repeats change nothing.

        Says what was beneath the plan that counted until now, where one was given.
        """
        running = await self._stretches.find_open(organization_id)
        before = running.beneath if running is not None else None
        if running is not None:
            if given is not None and _is_same(running, given, beneath, catalog):
                return before
            await self._stretches.end(organization_id, running, now)
        if given is not None:
            self._stretches.add(
                GivenStretch(
                    organization_id=organization_id,
                    id=new_id(),
                    manual_plan_id=given.id,
                    plan=given.plan,
                    catalog_version=catalog.id,
                    fee=given.fee,
                    usage=given.usage,
                    beneath=beneath.plan,
                    beneath_version=beneath.catalog_version,
                    since=now,
                    ends_at=given.ends_at,
                )
            )
        return before


def _is_same(
    running: GivenStretch, given: ManualPlan, beneath: Entitlements, catalog: Catalog
) -> bool:
    return (
        running.manual_plan_id == given.id
        and running.catalog_version == catalog.id
        and (running.beneath, running.beneath_version) == (beneath.plan, beneath.catalog_version)
    )
