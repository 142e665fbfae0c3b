"""Providers' usage objects: provider × cache × reasoning, and what does not add up."""

from dataclasses import astuple
from typing import Any

import pytest

from app.pricing.domain import tokens_of
from app.pricing.normalizer import RawUsageMismatch, RawUsageUnknown, TokenCounts, read_usage


@pytest.mark.parametrize(
    ("raw", "counts"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}, TokenCounts(9, 4)),
        (
            {
                "prompt_tokens": 15_000,
                "completion_tokens": 800,
                "prompt_tokens_details": {"cached_tokens": 2_000, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 500},
            },
            TokenCounts(15_000, 800, 2_000, 0, 500),
        ),
        (
            {
                "input_tokens": 75,
                "input_tokens_details": {"cached_tokens": 32},
                "output_tokens": 1186,
                "output_tokens_details": {"reasoning_tokens": 1024},
                "total_tokens": 1261,
            },
            TokenCounts(75, 1186, 32, 0, 1024),
        ),
        (
            {
                "input_tokens": 50,
                "cache_creation_input_tokens": 248,
                "cache_read_input_tokens": 100_000,
                "output_tokens": 503,
                "service_tier": "standard",
            },
            TokenCounts(100_298, 503, 100_000, 248),
        ),
        ({"input_tokens": 2095, "output_tokens": 503}, TokenCounts(2095, 503)),
        (
            {
                "promptTokenCount": 100,
                "candidatesTokenCount": 20,
                "thoughtsTokenCount": 30,
                "cachedContentTokenCount": 64,
                "totalTokenCount": 150,
            },
            TokenCounts(100, 50, 64, 0, 30),
        ),
        (
            {"usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7}},
            TokenCounts(7, 0),
        ),
    ],
)
def test_each_provider_is_read_in_its_own_way(raw: dict[str, Any], counts: TokenCounts) -> None:
    assert read_usage(raw) == counts


@pytest.mark.parametrize(
    "raw",
    [
        {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 12},
        {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 10}},
        {"prompt_tokens": -1},
        {"prompt_tokens": "9"},
        {"prompt_tokens": True},
        {"prompt_tokens": 9, "prompt_tokens_details": []},
        {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 3},
        {
            "prompt_tokens": 1,
            "completion_tokens": 1,
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
    ],
)
def test_what_does_not_add_up_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(RawUsageMismatch):
        read_usage(raw)


@pytest.mark.parametrize("raw", [{}, {"tokens": 5}, {"input_tokens": 5}])
def test_another_shape_is_unknown(raw: dict[str, Any]) -> None:
    with pytest.raises(RawUsageUnknown):
        read_usage(raw)


# The same response of each provider, in one piece and as a stream: provider × stream × cache ×
# reasoning. Figures are (in, out, cached, written, reasoning) as the API counts them.


def openai_chat(counts: TokenCounts) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    usage = {
        "prompt_tokens": counts.tokens_in,
        "completion_tokens": counts.tokens_out,
        "total_tokens": counts.tokens_in + counts.tokens_out,
        "prompt_tokens_details": {"cached_tokens": counts.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": counts.reasoning_tokens},
    }
    chunk = {"object": "chat.completion.chunk", "choices": [{"delta": {"content": "x"}}]}
    return usage, [{**chunk, "usage": None}] * 3 + [{"choices": [], "usage": usage}]


def openai_responses(counts: TokenCounts) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    usage = {
        "input_tokens": counts.tokens_in,
        "input_tokens_details": {"cached_tokens": counts.cached_tokens},
        "output_tokens": counts.tokens_out,
        "output_tokens_details": {"reasoning_tokens": counts.reasoning_tokens},
        "total_tokens": counts.tokens_in + counts.tokens_out,
    }
    return usage, [
        {"type": "response.created", "response": {"usage": None}},
        {"type": "response.output_text.delta", "delta": "x"},
        {"type": "response.completed", "response": {"usage": usage}},
    ]


def anthropic(counts: TokenCounts) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    # Extended thinking is billed and counted as output.
    read = {
        "input_tokens": counts.tokens_in - counts.cached_tokens - counts.cache_write_tokens,
        "cache_read_input_tokens": counts.cached_tokens,
        "cache_creation_input_tokens": counts.cache_write_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": counts.cache_write_tokens,
            "ephemeral_1h_input_tokens": 0,
        },
    }
    return {**read, "output_tokens": counts.tokens_out}, [
        {"type": "message_start", "message": {"usage": {**read, "output_tokens": 1}}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "x"}},
        {"type": "message_delta", "usage": {"output_tokens": counts.tokens_out // 2}},
        {"type": "message_delta", "usage": {"output_tokens": counts.tokens_out}},
        {"type": "message_stop"},
    ]


def gemini(counts: TokenCounts) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    def metadata(written: int, thought: int) -> dict[str, Any]:
        return {
            "promptTokenCount": counts.tokens_in,
            "cachedContentTokenCount": counts.cached_tokens,
            "candidatesTokenCount": written,
            "thoughtsTokenCount": thought,
            "totalTokenCount": counts.tokens_in + written + thought,
        }

    thought = counts.reasoning_tokens
    written = counts.tokens_out - thought
    last = metadata(written, thought)
    stream = [metadata(0, thought // 2), metadata(written // 3, thought), last]
    return last, [{"candidates": [], "usageMetadata": each} for each in stream]


PROVIDERS = {
    "openai-chat": (openai_chat, False),
    "openai-responses": (openai_responses, False),
    "anthropic": (anthropic, True),
    "gemini": (gemini, False),
}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("cached", [0, 4_096])
@pytest.mark.parametrize("written", [0, 333])
@pytest.mark.parametrize("reasoning", [0, 700])
def test_a_stream_counts_what_the_same_response_counts_in_one_piece(
    provider: str, cached: int, written: int, reasoning: int
) -> None:
    shape, counts_cache_writes = PROVIDERS[provider]
    if provider == "anthropic":
        reasoning = 0  # it is not told apart
    counts = TokenCounts(9_000, 1_000, cached, written if counts_cache_writes else 0, reasoning)
    buffered, stream = shape(counts)
    assert read_usage(buffered) == counts
    assert read_usage(stream) == counts
    assert read_usage({"id": "r", "usage": buffered}) == counts
    roles = tokens_of(*astuple(counts))
    assert roles.input + roles.cache_read + roles.cache_write == counts.tokens_in
    total = buffered.get("total_tokens", buffered.get("totalTokenCount"))
    if total is not None:
        assert roles.total_input + roles.output == total
    else:
        assert roles.total_input + roles.output == sum(
            buffered[name] for name in buffered if name.endswith("_tokens")
        )


def test_a_stream_that_broke_off_counts_what_was_reported() -> None:
    _, stream = anthropic(TokenCounts(9_000, 1_000, 4_096, 333))
    assert read_usage(stream[:3]) == TokenCounts(9_000, 500, 4_096, 333)
    with pytest.raises(RawUsageUnknown):
        read_usage(stream[1:2])
    with pytest.raises(RawUsageUnknown):
        read_usage([])


def test_cache_writes_by_lifetime_add_up() -> None:
    raw = {
        "input_tokens": 1,
        "output_tokens": 1,
        "cache_creation_input_tokens": 5,
        "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 2},
    }
    with pytest.raises(RawUsageMismatch):
        read_usage(raw)
