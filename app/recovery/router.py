"""What happened to payments that were missing."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from app.infra.http.principal import CurrentOperator, needs
from app.infra.http.provide import provide
from app.infra.http.schemas import prefixed_id
from app.kernel.principal import Permission, Principal
from app.recovery.schemas import RecoveryOut
from app.recovery.service import RecoveryService

router = APIRouter(tags=["subscription"])
operators = APIRouter(prefix="/admin", tags=["admin"])

Recovery = Annotated[RecoveryService, provide(RecoveryService)]
Reader = Annotated[Principal, needs(Permission.BILLING_READ)]
Whose = prefixed_id("org")


@router.get("/billing/recovery", response_model=RecoveryOut, status_code=200)
async def get_payment_recovery(principal: Reader, recovery: Recovery) -> RecoveryOut:
    """Payments that were missing: failed attempts, days of grace, and how each case ended."""
    return RecoveryOut.from_domain(await recovery.timeline(principal.organization))


@operators.get(
    "/organizations/{organization_id}/recovery", response_model=RecoveryOut, status_code=200
)
async def get_recovery_of_organization(
    operator: CurrentOperator,
    organization_id: Whose,  # type: ignore[valid-type]
    recovery: Recovery,
) -> RecoveryOut:
    """What happened to an organization's payments: which invoice, which attempt, which notice."""
    return RecoveryOut.from_domain(await recovery.timeline(organization_id))
