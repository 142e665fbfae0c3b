"""What tokens do, and how those that callers count become disjoint."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.kernel.errors import Malformed


class SubsetTooLarge(Malformed):
    """{part} cannot be more than {whole}, of which they are a part."""

    code = "subset_too_large"


class TokenRole(StrEnum):
    """What a token did. Inside, roles are disjoint."""

    INPUT = "input"
    CACHE_READ = "cache_read"
    CACHE_WRITE = "cache_write"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a call by disjoint role; `reasoning` is the part of the output that was."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0

    @property
    def total_input(self) -> int:
        return self.input + self.cache_read + self.cache_write


def tokens_of(
    tokens_in: int,
    tokens_out: int,
    cached_tokens: int = 0,
    cache_write_tokens: int = 0,
    reasoning_tokens: int = 0,
) -> Tokens:
    """Split what callers send, where cached tokens are a part of `tokens_in`.

    15,000 in with 2,000 cached is 13,000 + 2,000. Raises `SubsetTooLarge` when a part is larger
    than its whole.
    """
    if cached_tokens + cache_write_tokens > tokens_in:
        raise SubsetTooLarge(part="cached_tokens and cache_write_tokens", whole="tokens_in")
    if reasoning_tokens > tokens_out:
        raise SubsetTooLarge(part="reasoning_tokens", whole="tokens_out")
    return Tokens(
        tokens_in - cached_tokens - cache_write_tokens,
        cached_tokens,
        cache_write_tokens,
        tokens_out,
        reasoning_tokens,
    )
