"""Credit notes at Stripe itself, through the official SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.gateways.stripe.connection import StripeConnection
from app.gateways.stripe.credit_notes import StripeCreditedLine, StripeCreditNote
from app.gateways.stripe.fields import id_of, instant, required_id, required_instant
from app.infra.db.unit_of_work import refuse_inside_unit

Json = Mapping[str, Any]

_PAGE = 100


class LiveCreditNotes:
    """The gateway over HTTP."""

    def __init__(self, connection: StripeConnection) -> None:
        self._connection = connection

    async def get_credit_note(self, credit_note_id: str) -> StripeCreditNote:
        refuse_inside_unit()
        return await self._connection.ask(
            "get_credit_note",
            lambda: self._connection.v1.credit_notes.retrieve_async(credit_note_id),
            _note,
        )

    async def list_credit_notes(self, invoice_id: str) -> tuple[StripeCreditNote, ...]:
        refuse_inside_unit()
        return await self._connection.ask(
            "list_credit_notes",
            lambda: self._connection.v1.credit_notes.list_async(
                {"invoice": invoice_id, "limit": _PAGE}
            ),
            lambda data: tuple(_note(item) for item in data["data"]),
        )


def _note(data: Json) -> StripeCreditNote:
    return StripeCreditNote(
        id=data["id"],
        invoice_id=required_id(data["invoice"]),
        number=data["number"],
        reason=data.get("reason"),
        memo=data.get("memo"),
        currency=data["currency"],
        total=data["total"],
        tax=sum(one["amount"] for one in data.get("total_taxes") or ()),
        before_payment=data["pre_payment_amount"],
        after_payment=data["post_payment_amount"],
        by_hand=data.get("out_of_band_amount") or 0,
        refunds=tuple(
            (refund, one["amount_refunded"])
            for one in data.get("refunds") or ()
            if (refund := id_of(one.get("refund"))) is not None
        ),
        lines=tuple(_line(line) for line in data["lines"]["data"]),
        issued_at=required_instant(data.get("effective_at") or data["created"]),
        # A void one without its time is void all the same.
        voided_at=instant(data.get("voided_at") or data["created"])
        if data["status"] == "void"
        else None,
    )


def _line(data: Json) -> StripeCreditedLine:
    return StripeCreditedLine(
        description=data.get("description") or "",
        amount=data["amount"],
        discount=data.get("discount_amount") or 0,
        tax=sum(one["amount"] for one in data.get("taxes") or ()),
        invoice_line_id=id_of(data.get("invoice_line_item")),
    )
