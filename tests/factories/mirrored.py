"""A subscription as the mirror holds it, for tests that need its state and not its history."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from app.catalog.service import CatalogService
from app.kernel.ids import OrganizationId, new_id
from app.subscriptions.models import Subscription
from tests.conftest import START
from tests.support.service import Service


async def a_subscription(
    service: Service,
    organization_id: OrganizationId,
    status: str = "past_due",
    *,
    failed_at: datetime = START,
    trial_end: datetime | None = None,
) -> UUID:
    """A month of the professional plan; one that is past due failed first at *failed_at*."""
    values: dict[str, Any] = {
        "organization_id": organization_id,
        "id": new_id(),
        "stripe_subscription_id": f"sub_{new_id().hex}",
        "stripe_customer_id": f"cus_{organization_id.hex}",
        "plan": "professional",
        "status": status,
        "price_id": "price_professional",
        "interval": "month",
        "amount": 29900,
        "currency": "usd",
        "first_failed_at": failed_at if status == "past_due" else None,
        "past_due_seen_at": failed_at if status == "past_due" else None,
        "trial_end": trial_end,
        "period_start": START,
        "period_end": START + timedelta(days=30),
        "created_at": START,
        "synced_at": START,
        "catalog_version": service.services[CatalogService].active.id,
    }
    for column in Subscription.__table__.columns:
        if not column.nullable and column.key not in values:
            values[column.key] = column.type.python_type()
    async with service.work.begin(organization_id) as session:
        session.add(Subscription(**values))
        await session.flush()
    return UUID(str(values["id"]))
