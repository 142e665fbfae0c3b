"""What happened to endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.kernel.facts import Fact


@dataclass(frozen=True, slots=True)
class EndpointDisabled(Fact):
    """An endpoint took no message for days and was switched off."""

    organization_id: UUID
    endpoint_id: UUID
    host: str
    last_error: str
    disabled_at: datetime
