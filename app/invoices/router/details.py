"""Who an organization's invoices are made out to."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from app.infra.http.principal import needs
from app.infra.http.provide import provide
from app.invoices.schemas import BillingDetailsIn, BillingDetailsOut
from app.invoices.service.details import BillingDetailsService
from app.kernel.principal import Permission, Principal

router = APIRouter(prefix="/billing/details", tags=["invoices"])

Details = Annotated[BillingDetailsService, provide(BillingDetailsService)]


@router.get("", response_model=BillingDetailsOut)
async def get_billing_details(
    principal: Annotated[Principal, needs(Permission.BILLING_READ)], details: Details
) -> BillingDetailsOut:
    """Who your invoices are made out to; what is null is left out of them."""
    return BillingDetailsOut.from_domain(await details.get(principal.organization))


@router.put("", response_model=BillingDetailsOut)
async def put_billing_details(
    principal: Annotated[Principal, needs(Permission.BILLING_WRITE)],
    details: Details,
    body: BillingDetailsIn,
) -> BillingDetailsOut:
    """Replace them; invoices that were issued keep what they say.

    A VAT number of a country of the EU is checked and written in its official form. With one from
    another state than the seller's, invoices are under reverse charge.
    """
    return BillingDetailsOut.from_domain(
        await details.put(principal.organization, body.to_domain())
    )
