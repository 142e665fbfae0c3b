"""Standard Webhooks 1.0: how a message to an endpoint is named, dated and signed.

The signature is over `id.timestamp.body`, by HMAC-SHA-256 with the bytes that the secret stands
for. While a secret is being replaced there are two signatures, and either may be checked.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime

PREFIX = "whsec_"
_SECRET_BYTES = 32


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def headers(
    message_id: str, at: datetime, body: bytes, secrets_in_force: Sequence[str]
) -> Mapping[str, str]:
    """The three headers, signed with each secret, the newest first."""
    timestamp = str(int(at.timestamp()))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(signed, secret) for secret in secrets_in_force),
    }


def _signature(signed: bytes, secret: str) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
