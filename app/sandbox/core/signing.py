"""Stripe's webhook signature."""

import hashlib
import hmac


def header(secret: str, payload: bytes, at: int) -> str:
    """The `Stripe-Signature` of *payload* for the holder of *secret*, made at an instant."""
    signed = str(at).encode() + b"." + payload
    return f"t={at},v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"
