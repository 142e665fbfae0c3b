"""An ORM read of what `GET /billing/subscription` shows: organization and subscription."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel
from sqlalchemy import select

from app.organizations.models import Organization
from app.subscriptions.models import Subscription

router = APIRouter()


class SubscriptionOut(BaseModel):
    tier: str
    plan: str
    status: str
    current_period_start: datetime | None
    current_period_end: datetime | None
    cancel_at_period_end: bool
    cancel_at: datetime | None
    trial_end: datetime | None
    amount: int | None
    currency: str
    interval: str
    payment_state: str
    grace_until: datetime | None
    pending_change: str | None
    features: list[str]


@router.get("/orm/{organization}/subscription")
async def read(organization: UUID, request: Request) -> SubscriptionOut:
    async with request.app.state.sessions() as session:
        owner = await session.scalar(select(Organization).where(Organization.id == organization))
        found = await session.scalar(
            select(Subscription).where(Subscription.organization_id == organization)
        )
        return SubscriptionOut(
            tier=owner.plan,
            plan=found.plan,
            status=found.status,
            current_period_start=found.period_start,
            current_period_end=found.period_end,
            cancel_at_period_end=found.cancel_at_period_end,
            cancel_at=found.cancel_at,
            trial_end=found.trial_end,
            amount=found.amount,
            currency=found.currency,
            interval=found.interval,
            payment_state="ok",
            grace_until=None,
            pending_change=found.pending_plan,
            features=list(owner.features),
        )
