"""What the routers of `auth` ask of a request."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from app.auth.domain import Device
from app.infra.http.rate_limit import client_address

_MAX_USER_AGENT = 300


async def _device(request: Request) -> Device:
    return Device(request.headers.get("user-agent", "")[:_MAX_USER_AGENT], client_address(request))


CurrentDevice = Annotated[Device, Depends(_device)]
