"""What only the people who run the platform can set right."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from app.kernel.ids import encode_id
from app.notifications.domain import NoticeKind, Told
from app.notifications.service.letters import Compose


class PlatformLetters:
    """Said as it was announced: operators look for themselves."""

    @property
    def composers(self) -> Mapping[NoticeKind, Compose]:
        return {
            NoticeKind.MODEL_UNPRICED: self.model_unpriced,
            NoticeKind.DUPLICATE_SUBSCRIPTION: self.at_stripe,
            NoticeKind.PRICE_UNKNOWN: self.at_stripe,
        }

    async def model_unpriced(self, told: Told) -> Mapping[str, object] | None:
        facts = told.facts
        return {
            "provider": facts["provider"] or "(none)",
            "model": facts["model"] or "(none)",
            "events": facts["events"],
        }

    async def at_stripe(self, told: Told) -> Mapping[str, object] | None:
        organization_id = encode_id("org", UUID(told.facts["organization_id"]))
        return {**told.facts, "organization_id": organization_id}
