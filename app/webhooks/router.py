"""Where Stripe reports."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response

from app.infra.http.lane import HotRoute
from app.infra.http.schemas import OutputModel
from app.webhooks.hot import RECEIVE

router = APIRouter(prefix="/webhooks", tags=["webhooks"], route_class=HotRoute)


class ReceivedOut(OutputModel):
    """The event is kept; it will be handled shortly."""

    received: Literal[True]


@router.post("/stripe", response_model=ReceivedOut)
async def receive_stripe_event(request: Request) -> Response:
    """Take a signed event from Stripe. Repeats and unknown types are answered alike."""
    return await RECEIVE.answer(request)
