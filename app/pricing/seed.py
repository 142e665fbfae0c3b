"""The prices of the requirements, in USD per million tokens."""

from __future__ import annotations

from decimal import Decimal

from app.pricing.domain import ANY, TokenRole

SEEDED: tuple[tuple[str, str, Decimal, Decimal], ...] = (
    ("anthropic", "claude-opus-4", Decimal("15.00"), Decimal("75.00")),
    ("anthropic", "claude-sonnet-4", Decimal("3.00"), Decimal("15.00")),
    ("openai", "gpt-4o", Decimal("2.50"), Decimal("10.00")),
    ("openai", "gpt-4o-mini", Decimal("0.15"), Decimal("0.60")),
    ("google", "gemini-pro", Decimal("1.25"), Decimal("5.00")),
    ("deepseek", "deepseek-v3", Decimal("0.14"), Decimal("0.28")),
    ("openrouter", ANY, Decimal("2.00"), Decimal("8.00")),
)
"""Provider, model, input, output."""

ALIASES: tuple[tuple[str, str, str], ...] = (
    ("anthropic", "claude-opus-4-0", "claude-opus-4"),
    ("anthropic", "claude-opus-4-20250514", "claude-opus-4"),
    ("anthropic", "claude-sonnet-4-0", "claude-sonnet-4"),
    ("anthropic", "claude-sonnet-4-20250514", "claude-sonnet-4"),
    ("openai", "gpt-4o-2024-08-06", "gpt-4o"),
    ("openai", "gpt-4o-2024-11-20", "gpt-4o"),
    ("openai", "gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
)
"""Provider, other name, model. `gemini-1.5-pro` and later are models of their own."""


def seeded_rows() -> list[tuple[str, str, TokenRole, Decimal]]:
    return [
        (provider, model, role, price)
        for provider, model, input_price, output_price in SEEDED
        for role, price in ((TokenRole.INPUT, input_price), (TokenRole.OUTPUT, output_price))
    ]
