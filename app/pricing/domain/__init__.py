"""Token roles, prices, and the book that finds them. Everything here is exact and pure."""

from app.pricing.domain.book import PriceBook
from app.pricing.domain.prices import (
    ANY,
    FROM_THE_BEGINNING,
    Leap,
    ListedPrice,
    Markup,
    ModelPrices,
    NewMarkup,
    NewPrice,
    Origin,
    PriceRow,
    PriceSource,
    PublicList,
    Quote,
    RolePrice,
    is_leap,
)
from app.pricing.domain.tokens import SubsetTooLarge, TokenRole, Tokens, tokens_of

__all__ = [
    "ANY",
    "FROM_THE_BEGINNING",
    "Leap",
    "ListedPrice",
    "Markup",
    "ModelPrices",
    "NewMarkup",
    "NewPrice",
    "Origin",
    "PriceBook",
    "PriceRow",
    "PriceSource",
    "PublicList",
    "Quote",
    "RolePrice",
    "SubsetTooLarge",
    "TokenRole",
    "Tokens",
    "is_leap",
    "tokens_of",
]
