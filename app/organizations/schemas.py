"""Organizations on the wire."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from pydantic import BeforeValidator, Field, StringConstraints

from app.infra.http.schemas import InputModel, Instant, OutputModel, prefixed_id
from app.kernel.rates import plain
from app.organizations import domain
from app.organizations.domain import Belonging, Role, Seats

if TYPE_CHECKING:
    OrganizationIdOut = UUID
else:
    OrganizationIdOut = prefixed_id("org")

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]


def _quantity(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else plain(value)
    return value


Quantity = Annotated[int | str, BeforeValidator(_quantity)]
"""A quantity of a metric: a whole number, or a decimal string where it is not whole."""


class OrganizationIn(InputModel):
    name: Name = Field(examples=["Acme Corp"])


class OrganizationPatch(InputModel):
    name: Name


class OrganizationSummaryOut(OutputModel):
    """An organization in a list of someone's organizations."""

    id: OrganizationIdOut
    name: str
    slug: str
    role: Role

    @classmethod
    def of(cls, belonging: Belonging) -> OrganizationSummaryOut:
        found = belonging.organization
        return cls(id=found.id, name=found.name, slug=found.slug, role=belonging.role)


class OrganizationUsageOut(OutputModel):
    """Use of the plan's debates in the current window; `null` remaining is unlimited."""

    debates_used: Quantity
    debates_held: Quantity
    debates_remaining: Quantity | None
    is_at_limit: bool
    window_start: Instant
    window_end: Instant


class SeatsOut(OutputModel):
    used: int
    limit: int | None


class OrganizationOut(OutputModel):
    """An organization with what its plan grants and what is left of it."""

    id: OrganizationIdOut
    name: str
    slug: str
    tier: str
    role: Role | None
    limits: dict[str, Quantity | None] = Field(
        description="By metric; `null` is unlimited, `0` is none.",
        examples=[{"debates": 10}],
    )
    features: list[str]
    usage: OrganizationUsageOut
    seats: SeatsOut
    is_suspended: bool
    created_at: Instant

    @classmethod
    def of(cls, overview: domain.Overview, role: Role | None) -> OrganizationOut:
        found = overview.organization
        granted = found.entitlements
        return cls(
            id=found.id,
            name=found.name,
            slug=found.slug,
            tier=granted.plan,
            role=role,
            limits={metric: item.limit for metric, item in granted.limits.items()},
            features=sorted(granted.features),
            usage=OrganizationUsageOut(
                debates_used=overview.used,
                debates_held=overview.held,
                debates_remaining=overview.remaining,
                is_at_limit=overview.is_at_limit,
                window_start=overview.window.start,
                window_end=overview.window.end,
            ),
            seats=_seats(overview.seats),
            is_suspended=found.is_suspended,
            created_at=found.created_at,
        )


def _seats(seats: Seats) -> SeatsOut:
    return SeatsOut(used=seats.used, limit=seats.limit)
