"""What the next invoices will say."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from app.infra.http.principal import needs
from app.infra.http.provide import provide
from app.invoices.schemas import UpcomingOut
from app.invoices.service.previewing import InvoicePreview
from app.kernel.principal import Permission, Principal

router = APIRouter(prefix="/billing/invoices", tags=["invoices"])


@router.get("/upcoming", response_model=UpcomingOut)
async def preview_upcoming_invoice(
    principal: Annotated[Principal, needs(Permission.BILLING_READ)],
    preview: Annotated[InvoicePreview, provide(InvoicePreview)],
) -> UpcomingOut:
    """What the next renewal will bill, as far as it is known today; `own` is what this service
    bills itself for the running period, as if it ended now.

    404 `no_subscription` where neither is to come; 409 `usage_unpriced` while any usage of the
    period waits for a price.
    """
    return UpcomingOut.from_domain(*await preview.upcoming(principal.organization))
