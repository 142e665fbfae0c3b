"""Staying signed in while a test moves the clock by months."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import httpx

from tests.factories.people import PASSWORD
from tests.support.service import Service


class StaySignedIn(httpx.Auth):
    """Signs in again when the access token has run out."""

    def __init__(self, service: Service, email: str) -> None:
        self._service = service
        self._email = email
        self._token: str | None = None

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        for _ in range(2):
            if self._token is not None:
                request.headers["Authorization"] = f"Bearer {self._token}"
            response = yield request
            if response.status_code != 401:
                return
            async with self._service.client() as anonymous:
                answer = await anonymous.post(
                    "/api/v1/auth/login", json={"email": self._email, "password": PASSWORD}
                )
            self._token = answer.json()["access_token"]


async def staying_signed_in(service: Service, client: httpx.AsyncClient) -> httpx.AsyncClient:
    """The client, from now on signed in whatever the clock says."""
    email = (await client.get("/api/v1/auth/me")).json()["email"]
    client.auth = StaySignedIn(service, email)
    return client
