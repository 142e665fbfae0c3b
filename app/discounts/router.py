"""Promo codes and the volume discount over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header

from app.discounts.domain import VOLUME_TIERS
from app.discounts.errors import RedemptionUnnamed
from app.discounts.schemas import (
    PromoCodeId,
    PromoCodeIn,
    PromoCodeOut,
    PromoCodePatch,
    PurchaseIn,
    QuoteOut,
    RedeemIn,
    RedemptionOut,
    VolumeOut,
)
from app.discounts.service.codes import PromoCodeService
from app.discounts.service.redeeming import Redeeming, Wish
from app.discounts.service.volume import VolumeService
from app.infra.http.idempotency import IdempotentRoute
from app.infra.http.principal import CurrentOperator, needs
from app.infra.http.provide import provide
from app.infra.http.schemas import PageOut, Paging
from app.kernel.principal import Permission, Principal

router = APIRouter(prefix="/billing", tags=["discounts"], route_class=IdempotentRoute)
operators = APIRouter(prefix="/admin/promo-codes", tags=["admin"], route_class=IdempotentRoute)

Codes = Annotated[PromoCodeService, provide(PromoCodeService)]
Redemptions = Annotated[Redeeming, provide(Redeeming)]
Volume = Annotated[VolumeService, provide(VolumeService)]
Reader = Annotated[Principal, needs(Permission.BILLING_READ)]
Buyer = Annotated[Principal, needs(Permission.BILLING_WRITE)]


@router.post("/promo-codes/validate", response_model=QuoteOut, status_code=200)
async def validate_promo_code(
    body: PurchaseIn, principal: Reader, redemptions: Redemptions
) -> QuoteOut:
    """What a code would take off a purchase, or why it does not apply. Changes nothing."""
    quote = await redemptions.quote(
        principal.organization, body.code, plan=body.plan, amount=body.money
    )
    return QuoteOut.of(quote)


@router.post("/promo-codes/apply", response_model=RedemptionOut, status_code=201)
async def apply_promo_code(
    body: RedeemIn,
    principal: Buyer,
    redemptions: Redemptions,
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> RedemptionOut:
    """Use a code, once for a purchase: what it is worth comes off your next invoices."""
    if (cause := body.checkout_id or idempotency_key) is None:
        raise RedemptionUnnamed
    wish = Wish(body.code, f"purchase:{cause}", principal.actor, body.plan, body.money)
    return RedemptionOut.of(await redemptions.redeem(principal.organization, wish))


@router.get("/promo-codes", response_model=PageOut[RedemptionOut])
async def list_redemptions(
    principal: Reader, redemptions: Redemptions, paging: Paging
) -> PageOut[RedemptionOut]:
    """The codes that your organization used, the latest first."""
    return PageOut.of(await redemptions.list(principal.organization, paging), RedemptionOut.of)


@router.get("/volume-discount", response_model=VolumeOut)
async def get_volume_discount(principal: Reader, volume: Volume) -> VolumeOut:
    """What you have paid so far and what that takes off your next invoice.

    A tier that an invoice reaches holds from the next one on, for the whole of it.
    """
    return VolumeOut.of(await volume.standing(principal.organization), VOLUME_TIERS)


@operators.post("", response_model=PromoCodeOut, status_code=201)
async def create_promo_code(
    body: PromoCodeIn, operator: CurrentOperator, codes: Codes
) -> PromoCodeOut:
    """Make a code. Stripe is told of it, so that its payment page takes it, too."""
    made = await codes.create(body.code, body.to_terms(), actor=operator.actor)
    return PromoCodeOut.of(made)


@operators.get("", response_model=PageOut[PromoCodeOut])
async def list_promo_codes(
    operator: CurrentOperator, codes: Codes, paging: Paging
) -> PageOut[PromoCodeOut]:
    """Every code, the latest first."""
    return PageOut.of(await codes.list(paging), PromoCodeOut.of)


@operators.get("/{promo_code_id}", response_model=PromoCodeOut)
async def get_promo_code(
    promo_code_id: PromoCodeId, operator: CurrentOperator, codes: Codes
) -> PromoCodeOut:
    """One code."""
    return PromoCodeOut.of(await codes.get(promo_code_id))


@operators.patch("/{promo_code_id}", response_model=PromoCodeOut)
async def switch_promo_code(
    promo_code_id: PromoCodeId, body: PromoCodePatch, operator: CurrentOperator, codes: Codes
) -> PromoCodeOut:
    """Switch a code on or off. What was redeemed stays."""
    switched = await codes.switch(promo_code_id, is_active=body.is_active, actor=operator.actor)
    return PromoCodeOut.of(switched)
