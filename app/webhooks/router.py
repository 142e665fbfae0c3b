"""Where Stripe reports."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response

from app.infra.http.provide import provide
from app.infra.http.schemas import OutputModel
from app.webhooks.service.intake import StripeIntake

router = APIRouter(prefix="/webhooks", tags=["webhooks"])

_RECEIVED = b'{"received":true}'


class ReceivedOut(OutputModel):
    """The event is kept; it will be handled shortly."""

    received: Literal[True]


@router.post("/stripe", response_model=ReceivedOut)
async def receive_stripe_event(
    request: Request, intake: Annotated[StripeIntake, provide(StripeIntake)]
) -> Response:
    """Take a signed event from Stripe. Repeats and unknown types are answered alike."""
    await intake.receive(await request.body(), request.headers.get("stripe-signature"))
    return Response(_RECEIVED, media_type="application/json")
