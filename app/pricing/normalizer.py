"""Providers' own usage objects, read into what the service counts.

OpenAI counts cached tokens inside the prompt and reasoning inside the completion; Anthropic counts
cache reads and writes beside the input; Gemini counts thoughts beside the candidates.

What a stream reports is cumulative with all three: each count stands for the whole response so
far. OpenAI sends it once, at the end; Gemini with every chunk; Anthropic the input at the start
and the output with each delta. So the last value of each count is the response's, and the usage
objects of a stream in order say the same as that of the same response in one piece.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.kernel.errors import Malformed


class RawUsageUnknown(Malformed):
    """raw_usage is no usage object that we know from OpenAI, Anthropic or Gemini."""

    code = "raw_usage_unknown"


class RawUsageMismatch(Malformed):
    """raw_usage does not add up: {what}."""

    code = "raw_usage_mismatch"


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens as the API counts them: cached and written are parts of in, reasoning of out."""

    tokens_in: int
    tokens_out: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


def read_usage(raw: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> TokenCounts:
    """The counts of a provider's usage object, told by its members; of a stream's in order.

    The object may be inside the response or the stream's event that carries it. Raises
    `RawUsageUnknown` for another shape and `RawUsageMismatch` when its total is not the sum of
    its parts.
    """
    if not isinstance(raw, Mapping):
        return _read(last_counts(raw))
    return _read(_inside(raw))


def last_counts(stream: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The last value of each count of a stream; events that carry no usage are passed over."""
    found: dict[str, Any] = {}
    for event in stream:
        counts = _inside(event)
        found |= {name: value for name, value in counts.items() if value is not None}
    return found


_AROUND = ("usage", "usageMetadata", "usage_metadata", "message", "response")
"""Where a response or an event of a stream has its usage; a chunk before the last has none."""


def _inside(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in _AROUND:
        if name in raw:
            return _inside(_mapping(raw, name))
    return {} if _is_without_usage(raw) else raw


def _is_without_usage(raw: Mapping[str, Any]) -> bool:
    """Whether this is some other event of a stream, such as a piece of text."""
    return "type" in raw or "choices" in raw or "candidates" in raw


def _read(raw: Mapping[str, Any]) -> TokenCounts:
    if "promptTokenCount" in raw or "totalTokenCount" in raw:
        return _gemini(raw)
    if "prompt_tokens" in raw:
        return _openai(raw, "prompt", "completion")
    if "cache_read_input_tokens" in raw or "cache_creation_input_tokens" in raw:
        return _anthropic(raw)
    if "input_tokens" in raw and "output_tokens" in raw:
        # OpenAI's Responses API gives a total; without one both count the same two figures.
        return _openai(raw, "input", "output")
    raise RawUsageUnknown


def _openai(raw: Mapping[str, Any], read: str, written: str) -> TokenCounts:
    counts = TokenCounts(
        _count(raw, f"{read}_tokens"),
        _count(raw, f"{written}_tokens"),
        _count(_mapping(raw, f"{read}_tokens_details"), "cached_tokens"),
        0,
        _count(_mapping(raw, f"{written}_tokens_details"), "reasoning_tokens"),
    )
    return _checked(counts, raw, "total_tokens", counts.tokens_in + counts.tokens_out)


def _anthropic(raw: Mapping[str, Any]) -> TokenCounts:
    cached = _count(raw, "cache_read_input_tokens")
    written = _count(raw, "cache_creation_input_tokens")
    by_lifetime = _mapping(raw, "cache_creation")
    if by_lifetime and written != sum(_count(by_lifetime, name) for name in by_lifetime):
        raise RawUsageMismatch(what="cache_creation is not cache_creation_input_tokens")
    return _checked(
        TokenCounts(
            _count(raw, "input_tokens") + cached + written,
            _count(raw, "output_tokens"),
            cached,
            written,
        )
    )


def _gemini(raw: Mapping[str, Any]) -> TokenCounts:
    thoughts = _count(raw, "thoughtsTokenCount")
    prompt = _count(raw, "promptTokenCount") + _count(raw, "toolUsePromptTokenCount")
    counts = TokenCounts(
        prompt,
        _count(raw, "candidatesTokenCount") + thoughts,
        _count(raw, "cachedContentTokenCount"),
        0,
        thoughts,
    )
    return _checked(counts, raw, "totalTokenCount", prompt + counts.tokens_out)


def _checked(
    counts: TokenCounts,
    raw: Mapping[str, Any] | None = None,
    name: str = "",
    total: int = 0,
) -> TokenCounts:
    if raw is not None and raw.get(name) is not None and _count(raw, name) != total:
        raise RawUsageMismatch(what=f"{name} is not {total}")
    if counts.cached_tokens + counts.cache_write_tokens > counts.tokens_in:
        raise RawUsageMismatch(what="more tokens cached than read")
    if counts.reasoning_tokens > counts.tokens_out:
        raise RawUsageMismatch(what="more tokens of reasoning than written")
    return counts


_MOST = 10**12


def _count(raw: Mapping[str, Any], name: str) -> int:
    value = raw.get(name)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST:
        raise RawUsageMismatch(what=f"{name} is no count")
    return value


def _mapping(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = raw.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise RawUsageMismatch(what=f"{name} is no object")
    return value
