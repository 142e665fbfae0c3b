"""What was given in a window, out of what is known of an organization."""

from __future__ import annotations

from uuid import UUID

from app.catalog.domain import Catalog, Plan
from app.invoices.domain import GivenPart
from app.kernel.periods import Period
from app.subscriptions.service.coverage import Coverage


def parts_of(coverage: Coverage, organization_id: UUID, window: Period) -> list[GivenPart]:
    """What was given in a window, oldest first."""
    found = []
    for stretch in coverage.given(organization_id):
        used, paid = stretch.used_in(window), stretch.paid_in(window)
        if used is not None:
            due = coverage.uncovered(organization_id, paid) if paid is not None else []
            found.append(GivenPart(stretch, used, tuple(due)))
    return found


def plan_of(catalog: Catalog, part: GivenPart) -> Plan:
    """The plan that was given, in the catalog that it was given by."""
    plan = catalog.plan(part.stretch.plan)
    if plan is None:
        raise LookupError(f"the catalog {catalog.name} has no plan {part.stretch.plan}")
    return plan
