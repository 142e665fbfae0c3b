"""Providers' usage objects: provider × cache × reasoning, and what does not add up."""

from typing import Any

import pytest

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
