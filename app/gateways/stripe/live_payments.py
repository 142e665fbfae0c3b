"""Payments at Stripe itself, through the official SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from app.gateways.stripe.connection import StripeConnection
from app.gateways.stripe.fields import id_of, instant, required_id, required_instant
from app.gateways.stripe.payments import RefundOrder, StripeCharge, StripeDispute, StripeRefund
from app.infra.db.unit_of_work import refuse_inside_unit

if TYPE_CHECKING:
    from stripe.params import RefundCreateParams

Json = Mapping[str, Any]

_PAGE = 100


class LivePayments:
    """The gateway over HTTP."""

    def __init__(self, connection: StripeConnection) -> None:
        self._connection = connection

    async def get_charge(self, charge_id: str) -> StripeCharge:
        refuse_inside_unit()
        return await self._connection.ask(
            "get_charge", lambda: self._connection.v1.charges.retrieve_async(charge_id), _charge
        )

    async def get_refund(self, refund_id: str) -> StripeRefund:
        refuse_inside_unit()
        return await self._connection.ask(
            "get_refund", lambda: self._connection.v1.refunds.retrieve_async(refund_id), _refund
        )

    async def get_dispute(self, dispute_id: str) -> StripeDispute:
        refuse_inside_unit()
        return await self._connection.ask(
            "get_dispute", lambda: self._connection.v1.disputes.retrieve_async(dispute_id), _dispute
        )

    async def list_refunds(self, charge_id: str) -> tuple[StripeRefund, ...]:
        refuse_inside_unit()
        return await self._connection.ask(
            "list_refunds",
            lambda: self._connection.v1.refunds.list_async({"charge": charge_id, "limit": _PAGE}),
            lambda data: tuple(_refund(item) for item in data["data"]),
        )

    async def list_disputes(self, charge_id: str) -> tuple[StripeDispute, ...]:
        refuse_inside_unit()
        return await self._connection.ask(
            "list_disputes",
            lambda: self._connection.v1.disputes.list_async({"charge": charge_id, "limit": _PAGE}),
            lambda data: tuple(_dispute(item) for item in data["data"]),
        )

    async def find_invoice_of(self, payment_intent_id: str) -> str | None:
        refuse_inside_unit()
        return await self._connection.ask(
            "find_invoice_of",
            lambda: self._connection.v1.invoice_payments.list_async(
                {
                    "payment": {"type": "payment_intent", "payment_intent": payment_intent_id},
                    "limit": 1,
                }
            ),
            lambda data: id_of(data["data"][0]["invoice"]) if data["data"] else None,
        )

    async def list_charges_of(self, invoice_id: str) -> tuple[str, ...]:
        refuse_inside_unit()
        payments = await self._connection.ask(
            "list_payments_of",
            lambda: self._connection.v1.invoice_payments.list_async(
                {"invoice": invoice_id, "status": "paid", "limit": _PAGE}
            ),
            lambda data: [dict(item["payment"]) for item in data["data"]],
        )
        found = [await self._charge_behind(payment) for payment in payments]
        return tuple(charge_id for charge_id in found if charge_id is not None)

    async def create_refund(self, order: RefundOrder, *, key: str) -> StripeRefund:
        refuse_inside_unit()
        parameters: RefundCreateParams = {
            "charge": order.charge_id,
            "amount": order.amount,
            "metadata": dict(order.metadata),
        }
        if order.reason is not None:
            parameters["reason"] = order.reason
        return await self._connection.ask(
            "create_refund",
            lambda: self._connection.v1.refunds.create_async(parameters, {"idempotency_key": key}),
            _refund,
        )

    async def _charge_behind(self, payment: Json) -> str | None:
        if (charge := id_of(payment.get("charge"))) is not None:
            return charge
        intent = id_of(payment.get("payment_intent"))
        if intent is None:
            return None
        return await self._connection.ask(
            "get_payment_intent",
            lambda: self._connection.v1.payment_intents.retrieve_async(intent),
            lambda data: id_of(data.get("latest_charge")),
        )


def _charge(data: Json) -> StripeCharge:
    return StripeCharge(
        id=data["id"],
        customer_id=id_of(data.get("customer")),
        payment_intent_id=id_of(data.get("payment_intent")),
        amount=data["amount"],
        amount_refunded=data["amount_refunded"],
        currency=data["currency"],
        status=data["status"],
        is_disputed=bool(data.get("disputed")),
        description=data.get("description"),
        failure_code=data.get("failure_code"),
        failure_message=data.get("failure_message"),
        created_at=required_instant(data["created"]),
        livemode=bool(data.get("livemode")),
    )


def _refund(data: Json) -> StripeRefund:
    return StripeRefund(
        id=data["id"],
        charge_id=id_of(data.get("charge")),
        amount=data["amount"],
        currency=data["currency"],
        status=data.get("status") or "pending",
        reason=data.get("reason"),
        failure_reason=data.get("failure_reason"),
        created_at=required_instant(data["created"]),
        metadata=dict(data.get("metadata") or {}),
    )


def _dispute(data: Json) -> StripeDispute:
    # Their amounts are in the account's own currency and less its fee; what counts is the way.
    moves = sorted(data.get("balance_transactions") or (), key=lambda move: int(move["created"]))
    taken = next((move["created"] for move in moves if move["amount"] < 0), None)
    is_back = bool(moves) and moves[-1]["amount"] > 0
    return StripeDispute(
        id=data["id"],
        charge_id=required_id(data["charge"]),
        amount=data["amount"],
        currency=data["currency"],
        reason=data["reason"],
        status=data["status"],
        is_charge_refundable=bool(data.get("is_charge_refundable")),
        respond_by=instant((data.get("evidence_details") or {}).get("due_by")),
        created_at=required_instant(data["created"]),
        withdrawn_at=instant(taken),
        reinstated_at=instant(moves[-1]["created"]) if is_back else None,
    )
