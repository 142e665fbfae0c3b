"""API keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Body

from app.auth.schemas import ApiKeyIn, ApiKeyOut, NewApiKeyOut, RotationIn
from app.auth.service import ApiKeyService
from app.infra.http.idempotency import IdempotentRoute
from app.infra.http.principal import needs
from app.infra.http.provide import provide
from app.infra.http.schemas import PageOut, Paging, prefixed_id
from app.kernel.principal import Permission, Principal

router = APIRouter(prefix="/auth/api-keys", tags=["auth"], route_class=IdempotentRoute)

Keys = Annotated[ApiKeyService, provide(ApiKeyService)]
Reader = Annotated[Principal, needs(Permission.API_KEYS_READ)]
Keeper = Annotated[Principal, needs(Permission.API_KEYS_WRITE)]


@router.get("")
async def list_api_keys(principal: Reader, keys: Keys, paging: Paging) -> PageOut[ApiKeyOut]:
    """The organization's keys, the latest first; never their secrets."""
    return PageOut.of(
        await keys.list_for_organization(principal.organization, paging), ApiKeyOut.of
    )


@router.post("", status_code=201)
async def create_api_key(body: ApiKeyIn, principal: Keeper, keys: Keys) -> NewApiKeyOut:
    """Make a key for programs. This answer is the only place that shows it."""
    made = await keys.create(principal, body.name, body.scopes, body.expires_at)
    return NewApiKeyOut.made(made)


@router.delete("/{key_id}", status_code=204)
async def delete_api_key(
    key_id: prefixed_id("key"),  # type: ignore[valid-type]
    principal: Keeper,
    keys: Keys,
) -> None:
    """End a key at once."""
    await keys.delete(principal.organization, key_id)


@router.post("/{key_id}/rotate", status_code=201)
async def rotate_api_key(
    key_id: prefixed_id("key"),  # type: ignore[valid-type]
    principal: Keeper,
    keys: Keys,
    body: Annotated[RotationIn | None, Body()] = None,
) -> NewApiKeyOut:
    """A successor with the same scopes; the old key works on for a day unless you say otherwise."""
    overlap = timedelta(seconds=(body or RotationIn()).overlap_seconds)
    return NewApiKeyOut.made(await keys.rotate(principal, key_id, overlap))
