"""Stripe without a key: every call says plainly that payments are not set up."""

from __future__ import annotations

from typing import Any, NoReturn

from app.gateways.stripe.errors import StripeNotConfigured
from app.infra.db.unit_of_work import refuse_inside_unit


class _Unconfigured:
    """Answers any call of any gateway with `StripeNotConfigured`."""

    def require_configured(self) -> NoReturn:
        raise StripeNotConfigured

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return _refuse


async def _refuse(*_: object, **__: object) -> NoReturn:
    refuse_inside_unit()
    raise StripeNotConfigured


def unconfigured_stripe() -> Any:
    """Every gateway of an installation without a Stripe key."""
    return _Unconfigured()
