"""Credit over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from app.credits.schemas import (
    CreditsOut,
    DeductionIn,
    DeductionOut,
    EntryOut,
    GrantIn,
    GrantOut,
)
from app.credits.service.ledger import CreditLedger, NewGrant
from app.infra.http.idempotency import IdempotentRoute
from app.infra.http.principal import CurrentOperator, needs
from app.infra.http.provide import provide
from app.infra.http.schemas import PageOut, Paging
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId
from app.kernel.money import Currency, Money
from app.kernel.principal import Permission, Principal
from app.organizations.service import OrganizationService

router = APIRouter(prefix="/billing/credits", tags=["credits"], route_class=IdempotentRoute)
operators = APIRouter(prefix="/admin/credits", tags=["admin"], route_class=IdempotentRoute)

Ledger = Annotated[CreditLedger, provide(CreditLedger)]
Organizations = Annotated[OrganizationService, provide(OrganizationService)]
Time = Annotated[Clock, provide(Clock)]
Reader = Annotated[Principal, needs(Permission.BILLING_READ)]


@router.get("", response_model=CreditsOut)
async def get_credits(principal: Reader, ledger: Ledger) -> CreditsOut:
    """What you can spend before you pay, in minor units, and which of it lapses when."""
    return CreditsOut.of_all(await ledger.balances(principal.organization))


@router.get("/transactions", response_model=PageOut[EntryOut])
async def list_credit_transactions(
    principal: Reader, ledger: Ledger, paging: Paging
) -> PageOut[EntryOut]:
    """Everything that changed your credit, newest first, with the grants that it drew on."""
    return PageOut.of(await ledger.transactions(principal.organization, paging), EntryOut.of)


@operators.post("/grants", response_model=GrantOut, status_code=201)
async def grant_credit(
    body: GrantIn,
    operator: CurrentOperator,
    ledger: Ledger,
    organizations: Organizations,
    clock: Time,
) -> GrantOut:
    """Give an organization credit. Send an `Idempotency-Key`: without one, twice is twice."""
    organization = await organizations.get(OrganizationId(body.organization_id))
    new = NewGrant(
        type=body.type,
        amount=Money(body.amount, Currency(body.currency)),
        description=body.description,
        expires_at=clock.now() + body.lasts if body.lasts else body.expires_at,
    )
    return GrantOut.of(await ledger.grant(organization.id, new, actor=operator.actor))


@operators.post("/deductions", response_model=DeductionOut, status_code=201)
async def deduct_credit(
    body: DeductionIn, operator: CurrentOperator, ledger: Ledger, organizations: Organizations
) -> DeductionOut:
    """Take credit: as much of the amount as there is. What is still owed is `remaining_amount`."""
    organization = await organizations.get(OrganizationId(body.organization_id))
    deduction = await ledger.deduct(
        organization.id,
        Money(body.amount, Currency(body.currency)),
        actor=operator.actor,
        description=body.description,
    )
    return DeductionOut.of(deduction, body.currency)
