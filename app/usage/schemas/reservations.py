"""Reservations in the document of the API; `reservation_wire` writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from uuid import UUID

from pydantic import Field

from app.infra.http.schemas import DecimalString, Instant, OutputModel, prefixed_id
from app.usage.schemas.usage import Quantity, RecordedOut

if TYPE_CHECKING:
    ReservationId = UUID
    BudgetId = UUID
else:
    ReservationId = prefixed_id("res")
    BudgetId = prefixed_id("bud")

State = Literal["held", "committed", "released", "expired"]


class HeldOut(OutputModel):
    """A budget, a quota or prepaid credit that carries a reservation."""

    kind: Literal["budget", "quota", "credit"]
    budget_id: BudgetId | None = None
    scope: str | None = None
    period_start: Instant | None = None
    amount_usd: DecimalString | None = None
    metric: str | None = None
    window_start: Instant | None = None
    quantity: Quantity | None = None


class AmountOut(OutputModel):
    """Cost, or a metric, and how much of it."""

    kind: Literal["cost", "quota"]
    amount_usd: DecimalString | None = None
    metric: str | None = None
    quantity: Quantity | None = None


class FigureOut(OutputModel):
    """What became of what was granted. What is missing from the sum is with its children."""

    name: str = Field(description="`cost_usd`, or a metric.")
    granted: DecimalString
    remaining: DecimalString
    returned: DecimalString
    committed: DecimalString
    overshoot: DecimalString = Field(description="The part of `committed` that was not held.")


class ReservationOut(OutputModel):
    """What is held for a call, and what became of it."""

    id: ReservationId
    parent_id: ReservationId | None
    state: State
    metric: str | None
    held: list[HeldOut]
    amounts: list[FigureOut]
    events: int
    debate_id: str | None
    workspace: str | None
    user_id: str | None
    agent: str | None
    provider: str | None
    model: str | None
    created_at: Instant
    expires_at: Instant
    settled_at: Instant | None


class ReleasedOut(ReservationOut):
    """A reservation after its release, and what went back."""

    returned: list[AmountOut]


class CommittedOut(ReservationOut):
    """A reservation after an event, what went back, and how much was used that was not held."""

    event: RecordedOut
    returned: list[AmountOut]
    overshoot: list[AmountOut]
