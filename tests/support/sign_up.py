"""Signs somebody up over plain HTTP, for tests whose service is another process."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from app.kernel.ids import new_id


@dataclass(frozen=True)
class SignedUp:
    """A fresh owner of a fresh organization."""

    email: str
    password: str
    token: str
    organization: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


def sign_up(url: str) -> SignedUp:
    email, password = f"{new_id().hex}@example.com", "a long enough passphrase"
    answer = httpx.post(
        f"{url}/api/v1/auth/register",
        json={
            "email": email,
            "password": password,
            "name": "Somebody",
            "organization_name": "Some",
        },
        timeout=30,
    )
    answer.raise_for_status()
    body = answer.json()
    return SignedUp(email, password, body["access_token"], body["organization"]["id"])
