"""The bundled public price list (`genai-prices`), read into our own values.

Its own calculator costs 180 µs a call and charges nothing for what it has no price for; reading
the prices once and doing the sums ourselves costs 2 µs and knows the difference. No request is
ever made to any host: the list is the installed package's.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from app.pricing.domain import ListedPrice, Origin, PriceSource, RolePrice

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices


def load() -> None:
    """Read the list from disk; takes about half a second, so do it before serving."""
    lookup("openai", "gpt-4o")


def look_up(provider: str, model: str, at: datetime) -> ListedPrice | None:
    """What the list says about *model* at *at*, or `None` when it does not know it."""
    info = lookup(provider, model)
    if info is None or not info.prices:
        return None
    prices = info.get_prices(at)
    is_timeless = not isinstance(info.prices, list)
    return _listed(
        f"genai-prices {_release()} {provider}/{info.id}", _Same(prices), is_timeless=is_timeless
    )


@lru_cache(maxsize=20_000)
def lookup(provider: str, model: str) -> ModelInfo | None:
    from genai_prices.data_snapshot import get_snapshot

    try:
        return get_snapshot().find_provider_model(model, None, provider, None)[1]
    except LookupError:
        return None


class _Same:
    """A price table compared by identity: the list's own objects live as long as the process."""

    __slots__ = ("prices",)

    def __init__(self, prices: ModelPrice) -> None:
        self.prices = prices

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.prices is self.prices

    def __hash__(self) -> int:
        return id(self.prices)


@lru_cache(maxsize=20_000)
def _listed(reference: str, table: _Same, *, is_timeless: bool) -> ListedPrice | None:
    prices = table.prices
    origin = Origin(PriceSource.PUBLIC_LIST, reference)
    read, written = _role(prices.input_mtok, origin), _role(prices.output_mtok, origin)
    if read is None and written is None:
        return None
    fee = prices.requests_kcount
    return ListedPrice(
        reference=reference,
        input=read,
        cache_read=_role(prices.cache_read_mtok, origin),
        cache_write=_role(prices.cache_write_mtok, origin),
        output=written,
        reasoning=_role(prices.output_reasoning_mtok, origin),
        per_call=fee / 1000 if isinstance(fee, Decimal) else Decimal(0),
        is_timeless=is_timeless,
    )


def _role(price: Decimal | TieredPrices | None, origin: Origin) -> RolePrice | None:
    if price is None:
        return None
    if isinstance(price, Decimal):
        return RolePrice(price, origin=origin)
    steps = tuple((tier.start, tier.price) for tier in price.tiers)
    return RolePrice(price.base, steps, origin=origin)


@lru_cache(maxsize=1)
def _release() -> str:
    return version("genai-prices")
