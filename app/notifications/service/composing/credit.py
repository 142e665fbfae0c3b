"""Credit that was bought, or was not."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from app.credits.domain import TopUpState, TopUpTrouble
from app.credits.service.top_ups import TopUpDesk
from app.kernel.ids import OrganizationId
from app.notifications.domain import NoticeKind, Told
from app.notifications.service.letters import Compose
from app.notifications.words import amount


class CreditLetters:
    """A failure is not told once the credit was paid for after all."""

    def __init__(self, top_ups: TopUpDesk) -> None:
        self._top_ups = top_ups

    @property
    def composers(self) -> Mapping[NoticeKind, Compose]:
        return {
            NoticeKind.CREDIT_TOPPED_UP: self.topped_up,
            NoticeKind.AUTO_TOP_UP_FAILED: self.failed,
        }

    async def topped_up(self, told: Told) -> Mapping[str, object] | None:
        facts = told.facts
        return {
            "amount": amount(facts["amount"], facts["currency"]),
            "is_automatic": facts["kind"] == "automatic",
            "receipt_url": facts["receipt_url"],
        }

    async def failed(self, told: Told) -> Mapping[str, object] | None:
        facts = told.facts
        can_be_paid = False
        if facts["top_up_id"] is not None:
            organization_id = OrganizationId(UUID(facts["organization_id"]))
            top_up = await self._top_ups.get(organization_id, UUID(facts["top_up_id"]))
            if top_up.state is TopUpState.PAID:
                return None
            can_be_paid = top_up.is_to_be_paid
        reason = TopUpTrouble(facts["reason"])
        return {
            "amount": amount(facts["amount"], facts["currency"]),
            "reason": reason.value,
            "pay_url": facts["pay_url"] if can_be_paid else None,
            "is_off": facts["is_off"],
        }
