"""What an invoice rests on, for whoever wants to reckon it up again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response

from app.infra.http.principal import needs
from app.infra.http.provide import provide
from app.invoices.schemas import ProofOut
from app.invoices.service.proving import InvoiceProofs
from app.invoices.wire.notes import InvoiceIdOnWire
from app.kernel.principal import Permission, Principal

router = APIRouter(prefix="/billing/invoices", tags=["invoices"])


@router.get(
    "/{invoice_id}/proof",
    response_model=ProofOut,
    responses={
        409: {
            "description": (
                "`invoice_not_issued`: a draft proves nothing yet; `proof_is_stripes`: Stripe "
                "issued it."
            )
        }
    },
)
async def get_invoice_proof(
    principal: Annotated[Principal, needs(Permission.BILLING_READ)],
    proofs: Annotated[InvoiceProofs, provide(InvoiceProofs)],
    invoice_id: InvoiceIdOnWire,
) -> Response:
    """Everything that an invoice of our own follows from, as it was when it was issued.

    Usage as sums and digests of its events, the plan's terms and the prices that were in force,
    each step to each amount, discounts, tax and credit, and the hash of the proof before it in
    the seller's series. `hash` is the SHA-256 of `proof` with sorted names and without blanks, as
    it stands here. `tools/verify_invoice.py` reckons all of it up again, from the exported events
    if they are given.
    """
    proof = await proofs.get(principal.organization, invoice_id)
    return Response(
        proof.text.encode(),
        media_type="application/json",
        headers={"Content-Disposition": f'inline; filename="{proof.number}.proof.json"'},
    )
