"""People who run the platform."""

from __future__ import annotations

import httpx

from app.infra.security.passwords import Passwords
from app.users.service import UserService
from tests.factories.people import PASSWORD, an_email
from tests.support.service import Service


async def an_operator(service: Service) -> httpx.AsyncClient:
    """A client that calls as a fresh platform operator without an organization."""
    email = an_email("operator")
    password_hash = await service.services[Passwords].hash(PASSWORD)
    await service.services[UserService].create(
        email, "Grace Hopper", password_hash, is_operator=True, is_verified=True
    )
    async with service.client() as anonymous:
        answer = await anonymous.post(
            "/api/v1/auth/login", json={"email": email, "password": PASSWORD}
        )
    assert answer.status_code == 200, answer.text
    return service.client(answer.json()["access_token"])
