"""Background work of recovery: what facts of subscriptions mean, and what time brings."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from app.infra.http.provide import Services
from app.infra.jobs.worker import Payload
from app.kernel.ids import OrganizationId, encode_id
from app.recovery.domain import StepKind
from app.recovery.service import FOLLOW_JOB, RecoveryService


async def note_failure(payload: Payload, services: Services) -> None:
    invoice_id, attempt = payload["stripe_invoice_id"], payload["attempt"]
    await services[RecoveryService].note(
        *_whose(payload),
        StepKind.PAYMENT_FAILED,
        f"failed:{invoice_id}:{attempt}",
        happened_at=datetime.fromisoformat(payload["failed_at"]),
        stripe_invoice_id=invoice_id,
        attempt=attempt,
        amount=payload["amount_due"],
        currency=payload["currency"],
        next_attempt_at=_instant(payload["next_attempt_at"]),
        pay_url=payload["pay_url"],
        detail=_own(payload),
    )


async def note_action_required(payload: Payload, services: Services) -> None:
    invoice_id = payload["stripe_invoice_id"]
    await services[RecoveryService].note(
        *_whose(payload),
        StepKind.ACTION_REQUIRED,
        f"action:{invoice_id}:{payload['fact_id']}",
        stripe_invoice_id=invoice_id,
        amount=payload["amount_due"],
        currency=payload["currency"],
        pay_url=payload["pay_url"],
        detail=_own(payload),
    )


async def note_payment(payload: Payload, services: Services) -> None:
    invoice_id = payload["stripe_invoice_id"]
    await services[RecoveryService].note(
        *_whose(payload),
        StepKind.PAYMENT_RECEIVED,
        f"paid:{invoice_id}",
        stripe_invoice_id=invoice_id,
        detail=_own(payload),
    )


async def follow(payload: Payload, services: Services) -> None:
    await services[RecoveryService].follow(OrganizationId(UUID(payload["organization_id"])))


async def sweep(payload: Payload, services: Services) -> None:
    await services[RecoveryService].sweep()


def _whose(payload: Payload) -> tuple[OrganizationId, UUID | None]:
    subscription_id = payload.get("subscription_id")
    owner = OrganizationId(UUID(payload["organization_id"]))
    return owner, UUID(subscription_id) if subscription_id is not None else None


def _own(payload: Payload) -> str | None:
    """The invoice of ours that is collected, where it is one."""
    invoice_id = payload.get("invoice_id")
    return encode_id("inv", UUID(invoice_id)) if invoice_id is not None else None


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text is not None else None


JOBS = {
    "recovery.note_failure": note_failure,
    "recovery.note_action_required": note_action_required,
    "recovery.note_payment": note_payment,
    FOLLOW_JOB: follow,
    "recovery.sweep": sweep,
}
