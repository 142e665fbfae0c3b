"""What the routers of `auth` ask of a request."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from app.auth.domain import Device
from app.auth.errors import PeopleOnly
from app.infra.http.principal import CurrentPrincipal
from app.infra.http.rate_limit import client_address
from app.kernel.principal import Principal

_MAX_USER_AGENT = 300


async def _device(request: Request) -> Device:
    return Device(request.headers.get("user-agent", "")[:_MAX_USER_AGENT], client_address(request))


async def _person(principal: CurrentPrincipal) -> Principal:
    if principal.api_key_id is not None:
        raise PeopleOnly
    return principal


CurrentDevice = Annotated[Device, Depends(_device)]

CurrentPerson = Annotated[Principal, Depends(_person)]
"""A caller who signed in; keys may not touch accounts and sessions."""
