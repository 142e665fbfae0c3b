"""Credit over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from app.credits.schemas import (
    AutoTopUpIn,
    AutoTopUpOut,
    CreditsOut,
    DeductionIn,
    DeductionOut,
    EntryOut,
    GrantIn,
    GrantOut,
    TopUpId,
    TopUpIn,
    TopUpOut,
)
from app.credits.service.auto_top_up import AutoTopUps
from app.credits.service.ledger import CreditLedger, NewGrant
from app.credits.service.top_ups import TopUpDesk
from app.credits.service.topping_up import ToppingUp
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
Automatic = Annotated[AutoTopUps, provide(AutoTopUps)]
TopUps = Annotated[TopUpDesk, provide(TopUpDesk)]
Buyer = Annotated[Principal, needs(Permission.BILLING_WRITE)]
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


@router.get("/auto-top-up", response_model=AutoTopUpOut)
async def get_auto_top_up(principal: Reader, automatic: Automatic) -> AutoTopUpOut:
    """When credit is bought by itself; off unless somebody switched it on."""
    return AutoTopUpOut.of(await automatic.get(principal.organization))


@router.put("/auto-top-up", response_model=AutoTopUpOut)
async def set_auto_top_up(
    principal: Buyer, body: AutoTopUpIn, automatic: Automatic
) -> AutoTopUpOut:
    """Buy credit by itself whenever there is less than a threshold, or no longer.

    It is charged to the saved way to pay, and given when it is paid. After three failures in a row
    it is switched off; whoever looks after billing hears of each.
    """
    if body.terms is None:
        return AutoTopUpOut.of(await automatic.turn_off(principal.organization))
    return AutoTopUpOut.of(await automatic.turn_on(principal.organization, body.terms))


@router.post("/top-up", response_model=TopUpOut, status_code=201)
async def buy_credit(
    principal: Buyer, body: TopUpIn, topping_up: Annotated[ToppingUp, provide(ToppingUp)]
) -> TopUpOut:
    """Buy credit on a page: send the payer to `pay_url`. The credit is there once it is paid.

    While the page is open, which is a day, asking again for the same amount returns the same page.
    """
    return TopUpOut.of(
        await topping_up.buy(
            principal.organization,
            Money(body.amount, Currency(body.currency)),
            email=principal.email,
            actor=principal.actor,
        )
    )


@router.get("/top-ups", response_model=PageOut[TopUpOut])
async def list_top_ups(principal: Reader, top_ups: TopUps, paging: Paging) -> PageOut[TopUpOut]:
    """Every purchase of credit, by itself or by somebody, newest first."""
    return PageOut.of(await top_ups.list(principal.organization, paging), TopUpOut.of)


@router.get("/top-ups/{top_up_id}", response_model=TopUpOut)
async def get_top_up(principal: Reader, top_up_id: TopUpId, top_ups: TopUps) -> TopUpOut:
    """How a purchase stands; poll it for who returned from the page."""
    return TopUpOut.of(await top_ups.get(principal.organization, top_up_id))


@router.post("/top-ups/{top_up_id}/cancel", response_model=TopUpOut)
async def cancel_top_up(principal: Buyer, top_up_id: TopUpId, top_ups: TopUps) -> TopUpOut:
    """Let a purchase that is not paid lapse at once, for example to ask for another amount."""
    return TopUpOut.of(await top_ups.cancel(principal.organization, top_up_id))


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
