"""What subscriptions ask of whoever tells Stripe about use."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from app.kernel.entitlements import Entitlements
from app.kernel.ids import OrganizationId


class MeteredPlans(Protocol):
    """Who is metered follows what is granted, in the same unit; `metered` supplies it."""

    async def follow(
        self, organization_id: OrganizationId, bought: Entitlements | None, at: datetime
    ) -> None:
        """From *at* on the plan that was *bought* counts; None where another or none does.

        Joins the unit around it. Repeating it changes nothing.
        """
        ...
