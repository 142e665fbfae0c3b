"""Background work of payments."""

from uuid import UUID

from app.infra.http.provide import Services
from app.infra.jobs.worker import Payload
from app.kernel.ids import OrganizationId
from app.payments.service import RefundService
from app.payments.service.bought_credit import BoughtCredit
from app.payments.service.intake import PaymentIntake
from app.payments.service.promised import PromisedRefunds


async def make_requested_refunds(payload: Payload, services: Services) -> None:
    """Make the refunds that Stripe has not answered yet."""
    await services[RefundService].make_requested()


async def look_up_payment(payload: Payload, services: Services) -> None:
    """Find the charge behind an invoice that was just paid."""
    await services[PaymentIntake].look_up(
        OrganizationId(UUID(payload["organization_id"])), UUID(payload["invoice_id"])
    )


async def keep_promise(payload: Payload, services: Services) -> None:
    """Send back at Stripe what a credit note promised."""
    await services[PromisedRefunds].keep(
        OrganizationId(UUID(payload["organization_id"])), UUID(payload["credit_note_id"])
    )


async def keep_promises(payload: Payload, services: Services) -> None:
    """Send back what credit notes promised while Stripe was away."""
    await services[PromisedRefunds].keep_all()


async def follow_refund(payload: Payload, services: Services) -> None:
    """Let a credit note know how its refund stands."""
    await services[PromisedRefunds].follow(
        OrganizationId(UUID(payload["organization_id"])), UUID(payload["refund_id"])
    )


async def take_back_refunded(payload: Payload, services: Services) -> None:
    """Take back the credit that a refunded charge had bought."""
    await services[BoughtCredit].follow_refund(
        OrganizationId(UUID(payload["organization_id"])), UUID(payload["refund_id"])
    )


async def take_back_disputed(payload: Payload, services: Services) -> None:
    """Take back, or give back, the credit that a disputed charge had bought."""
    await services[BoughtCredit].follow_dispute(
        OrganizationId(UUID(payload["organization_id"])), UUID(payload["dispute_id"])
    )


JOBS = {
    "payments.make_requested_refunds": make_requested_refunds,
    "payments.look_up": look_up_payment,
    "payments.keep_promise": keep_promise,
    "payments.keep_promises": keep_promises,
    "payments.follow_refund": follow_refund,
    "payments.take_back_refunded": take_back_refunded,
    "payments.take_back_disputed": take_back_disputed,
}
