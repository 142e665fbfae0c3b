"""Prices over HTTP."""

from typing import Annotated

from fastapi import APIRouter

from app.infra.http.principal import CurrentOperator, CurrentPrincipal
from app.infra.http.provide import provide
from app.pricing.schemas import EstimateIn, EstimateOut, PriceIn, PricesIn, PricesOut
from app.pricing.service import PriceService

router = APIRouter(tags=["costs"])
operators = APIRouter(prefix="/admin/prices", tags=["admin"])

Prices = Annotated[PriceService, provide(PriceService)]


@router.get("/prices", response_model=PricesOut, status_code=200)
async def list_prices(prices: Prices, principal: CurrentPrincipal) -> PricesOut:
    """The price book of language models, with your organization's own prices."""
    return PricesOut.from_domain(await prices.list_for_organization(principal.organization_id))


@router.post("/costs/estimate", response_model=EstimateOut, status_code=200)
async def estimate_cost(
    body: EstimateIn, prices: Prices, principal: CurrentPrincipal
) -> EstimateOut:
    """What a call would cost your organization, and by which price. Nothing is recorded."""
    tokens = body.tokens()
    cost, quote = await prices.estimate(
        principal.organization_id, body.provider, body.model, tokens, body.occurred_at
    )
    return EstimateOut.from_domain(tokens, cost, quote)


@operators.get("", response_model=PricesOut, status_code=200)
async def list_all_prices(prices: Prices, operator: CurrentOperator) -> PricesOut:
    """Every price, with those of all organizations."""
    return PricesOut.from_domain(await prices.list_for_operators())


@operators.put("", response_model=PricesOut, status_code=200)
async def add_prices(
    body: PricesIn | PriceIn, prices: Prices, operator: CurrentOperator
) -> PricesOut:
    """Add one price or several, all or none; usage that waited for one is priced.

    A price never changes: to correct one, add another that is effective from later.
    """
    new = body.prices if isinstance(body, PricesIn) else [body]
    return PricesOut.from_domain(await prices.add([price.to_domain() for price in new]))
