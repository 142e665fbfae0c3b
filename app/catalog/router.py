"""The catalog over HTTP."""

from typing import Annotated

from fastapi import APIRouter

from app.catalog.schemas import CatalogOut
from app.catalog.service import CatalogService
from app.infra.http.provide import provide

router = APIRouter(prefix="/plans", tags=["plans"])

Catalogs = Annotated[CatalogService, provide(CatalogService)]


@router.get("", response_model=CatalogOut, status_code=200)
async def list_plans(catalogs: Catalogs) -> CatalogOut:
    """What can be bought: plans with their prices, limits and features. Needs no sign-in."""
    return CatalogOut.from_domain(catalogs.active)
