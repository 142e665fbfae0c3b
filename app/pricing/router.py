"""Prices over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.infra.http.principal import CurrentOperator, CurrentPrincipal
from app.infra.http.provide import provide
from app.infra.http.schemas import InstantIn
from app.pricing.schemas import (
    AliasIn,
    AliasOut,
    EstimateIn,
    EstimateOut,
    MarkupIn,
    MarkupOut,
    PriceBookOut,
    PriceIn,
    PriceRowsOut,
    PricesIn,
    PricesOut,
)
from app.pricing.service import PriceService

router = APIRouter(tags=["costs"])
operators = APIRouter(prefix="/admin/prices", tags=["admin"])

Prices = Annotated[PriceService, provide(PriceService)]
Word = Annotated[str | None, Query(min_length=1, max_length=200)]
At = Annotated[InstantIn | None, Query(description="At this instant instead of now.")]


@router.get("/prices", response_model=PricesOut, status_code=200)
async def list_prices(
    prices: Prices,
    principal: CurrentPrincipal,
    provider: Word = None,
    model: Word = None,
    at: At = None,
) -> PricesOut:
    """What models cost your organization now, by role: since when, by which price, what comes next.

    Lists the models of the price book; with `provider` and `model` any other that the bundled
    public list knows too. Usage is priced by what is in force when it happens.
    """
    owner = principal.organization_id
    return PricesOut.from_domain(await prices.in_force(owner, provider, model, at), owner)


@router.post("/costs/estimate", response_model=EstimateOut, status_code=200)
async def estimate_cost(
    body: EstimateIn, prices: Prices, principal: CurrentPrincipal
) -> EstimateOut:
    """What a call would cost your organization, and by which price. Nothing is recorded.

    Without a price the cost is null and `reason` says why: never 0.
    """
    tokens = body.tokens()
    cost, quote = await prices.estimate(
        principal.organization_id, body.provider, body.model, tokens, body.occurred_at
    )
    return EstimateOut.from_domain(tokens, cost, quote)


@operators.get("", response_model=PriceBookOut, status_code=200)
async def list_all_prices(prices: Prices, operator: CurrentOperator) -> PriceBookOut:
    """Every price, past and coming, with those and the markups of all organizations."""
    return PriceBookOut.from_domain(await prices.list_for_operators())


@operators.put("", response_model=PriceRowsOut, status_code=200)
async def add_prices(
    body: PricesIn | PriceIn, prices: Prices, operator: CurrentOperator
) -> PriceRowsOut:
    """Add one price or several, all or none; usage that waited for one is priced.

    A price never changes: to correct one, add another that is effective from later. One that is
    ten times its predecessor, or a tenth of it, is answered 409 `price_needs_confirmation`, with
    the row and both figures, until it comes with `confirm: true`.
    """
    new = body.prices if isinstance(body, PricesIn) else [body]
    confirm = body.confirm or all(price.confirm for price in new)
    return PriceRowsOut.from_domain(
        await prices.add([price.to_domain() for price in new], confirm=confirm)
    )


@operators.put("/markups", response_model=MarkupOut, status_code=200)
async def add_price_markup(body: MarkupIn, prices: Prices, operator: CurrentOperator) -> MarkupOut:
    """Put a percentage on what an organization would otherwise pay for models, from an instant on."""
    return MarkupOut.from_domain(await prices.add_markup(body.to_domain(), confirm=body.confirm))


@operators.put("/aliases", response_model=AliasOut, status_code=200)
async def set_price_alias(body: AliasIn, prices: Prices, operator: CurrentOperator) -> AliasOut:
    """Make a name another name of a model; usage that waited under it is priced."""
    await prices.set_alias(body.provider, body.alias, body.model)
    return AliasOut(provider=body.provider, alias=body.alias, model=body.model)
