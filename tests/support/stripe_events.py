"""Events as Stripe would send them: signed JSON."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.kernel.ids import new_id

SECRET = "whsec_first"
OLDER_SECRET = "whsec_older"
PATH = "/api/v1/webhooks/stripe"


def signature(payload: bytes, at: datetime, *secrets: str) -> str:
    """The header that Stripe would send with *payload*, signed with each of *secrets*."""
    seconds = int(at.timestamp())
    parts = [
        "v1=" + hmac.new(secret.encode(), b"%d." % seconds + payload, hashlib.sha256).hexdigest()
        for secret in secrets or (SECRET,)
    ]
    return ",".join([f"t={seconds}", *parts])


def an_event(
    kind: str, obj: Mapping[str, Any], at: datetime, *, livemode: bool = False, **changes: Any
) -> dict[str, Any]:
    """A snapshot event about *obj*."""
    return {
        "id": f"evt_{new_id().hex}",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": int(at.timestamp()),
        "data": {"object": dict(obj)},
        "livemode": livemode,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
        **changes,
    }


def encoded(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event, indent=2).encode()
