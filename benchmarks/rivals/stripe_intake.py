"""Taking a Stripe event in as Stripe's own example does, and keeping it by the ORM."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

import stripe
from fastapi import APIRouter, HTTPException, Request
from sqlalchemy import DateTime, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from benchmarks.rivals.naive import Base

router = APIRouter()


class NaiveStripeEvent(Base):
    __tablename__ = "naive_stripe_events"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    type: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    received_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )


@router.post("/stripe")
async def receive(request: Request) -> dict[str, bool]:
    payload = await request.body()
    signature = request.headers.get("stripe-signature", "")
    try:
        event = stripe.Webhook.construct_event(
            payload, signature, os.environ["STRIPE_WEBHOOK_SECRET"]
        )
    except (ValueError, stripe.SignatureVerificationError):
        raise HTTPException(400) from None
    async with request.app.state.sessions() as session:
        session.add(
            NaiveStripeEvent(id=event.id, type=event.type, payload=event.to_dict(for_json=True))
        )
        await session.commit()
    return {"received": True}
