"""What an organization may use: the snapshot that plans grant and quotas are held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from app.kernel.periods import Period

NO_PLAN = "free"
"""The tier of an organization without a subscription, whatever the catalog calls its plans."""


class LimitPolicy(StrEnum):
    """What happens at a limit (rule 1)."""

    HARD = "hard"
    """Refuse."""
    SOFT = "soft"
    """Allow and warn."""
    OVERAGE = "overage"
    """Allow and charge."""


@dataclass(frozen=True, slots=True)
class MetricLimit:
    """How much of a metric a window includes; `None` is unlimited, `0` is none."""

    limit: Decimal | None
    policy: LimitPolicy = LimitPolicy.HARD


@dataclass(frozen=True, slots=True)
class Entitlements:
    """Everything a plan grants, copied beside the organization that holds it.

    `window` is the current quota window; `None` means the UTC calendar month (rule 2).
    A metric that `limits` does not name is unlimited. With `draws_on_credit`, what calls to
    models cost is taken from prepaid credit, and refused beyond it.
    """

    plan: str
    catalog_version: UUID | None
    limits: Mapping[str, MetricLimit] = field(default_factory=dict)
    features: frozenset[str] = frozenset()
    seat_limit: int | None = 1
    window: Period | None = None
    draws_on_credit: bool = False
