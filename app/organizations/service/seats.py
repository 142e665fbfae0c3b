"""Seats: counted under the organization's lock, so that two cannot take the last one."""

from __future__ import annotations

from app.organizations.domain import PlanAdvice, Seats
from app.organizations.errors import SeatLimitReached
from app.organizations.models import Organization


def require_seat(organization: Organization, taken: int, plans: PlanAdvice) -> None:
    """Raises `SeatLimitReached` unless there is room for one more beside *taken*.

    The caller holds the organization's row, and counted after it had it.
    """
    seats = Seats(taken, organization.seat_limit)
    if seats.has_room_for(1):
        return
    raise SeatLimitReached(
        limit=seats.limit,
        used=taken,
        remaining=0,
        plan=organization.plan,
        upgrade_to=plans.upgrade_for_seats(taken + 1, organization.plan),
    )
