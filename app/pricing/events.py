"""What happened in the price book."""

from __future__ import annotations

from dataclasses import dataclass

from app.kernel.facts import Fact


@dataclass(frozen=True, slots=True)
class PricesAdded(Fact):
    """Prices were added; usage that had none may have one now."""

    version: int
