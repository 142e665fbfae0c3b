"""What only the people who run the platform can set right."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from app.kernel.ids import encode_id
from app.kernel.words import counted
from app.notifications.domain import NoticeKind, Told
from app.notifications.service.letters import Compose
from app.notifications.words import amount


class PlatformLetters:
    """Said as it was announced: operators look for themselves."""

    @property
    def composers(self) -> Mapping[NoticeKind, Compose]:
        return {
            NoticeKind.MODEL_UNPRICED: self.model_unpriced,
            NoticeKind.DUPLICATE_SUBSCRIPTION: self.at_stripe,
            NoticeKind.PRICE_UNKNOWN: self.at_stripe,
            NoticeKind.REFUND_NOT_SENT: self.refund_not_sent,
            NoticeKind.PAID_TOO_MUCH: self.paid_too_much,
            NoticeKind.CREDIT_NOT_TAKEN_BACK: self.credit_not_taken_back,
        }

    async def model_unpriced(self, told: Told) -> Mapping[str, object] | None:
        facts = told.facts
        return {
            "provider": facts["provider"] or "(none)",
            "model": facts["model"] or "(none)",
            "events": counted(int(facts["events"]), "event"),
        }

    async def refund_not_sent(self, told: Told) -> Mapping[str, object] | None:
        facts = told.facts
        return {
            "amount": amount(facts["amount"], facts["currency"]),
            "number": facts["number"],
            "credit_note_id": encode_id("crn", UUID(facts["credit_note_id"])),
            "reason": str(facts["reason"]).replace("_", " ") or "no reason was given",
        }

    async def paid_too_much(self, told: Told) -> Mapping[str, object] | None:
        facts = told.facts
        return {
            "amount": amount(facts["amount"], facts["currency"]),
            "number": facts["number"],
            "stripe_invoice_id": facts["stripe_invoice_id"],
        }

    async def credit_not_taken_back(self, told: Told) -> Mapping[str, object] | None:
        facts = told.facts
        return {
            "amount": amount(facts["amount"], facts["currency"]),
            "top_up_id": encode_id("top", UUID(facts["top_up_id"])),
        }

    async def at_stripe(self, told: Told) -> Mapping[str, object] | None:
        organization_id = encode_id("org", UUID(told.facts["organization_id"]))
        return {**told.facts, "organization_id": organization_id}
