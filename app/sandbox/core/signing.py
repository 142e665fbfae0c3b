"""Stripe's webhook signature."""

import hashlib
import hmac
from collections.abc import Sequence


def header(secrets: Sequence[str], payload: bytes, at: int) -> str:
    """The `Stripe-Signature` of *payload*, made at an instant, for holders of any secret."""
    signed = str(at).encode() + b"." + payload
    made = (hmac.new(one.encode(), signed, hashlib.sha256).hexdigest() for one in secrets)
    return f"t={at}," + ",".join(f"v1={one}" for one in made)
