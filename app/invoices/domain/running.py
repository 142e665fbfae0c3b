"""What a run of invoices reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID


@dataclass
class RunReport:
    """What a run did."""

    drafted: int = 0
    issued: int = 0
    waiting_for_prices: int = 0
    failed: int = 0
    organizations: set[UUID] = field(default_factory=set)
