"""Every model that the public list can price costs with us what it costs there.

What it cannot say, or says of things that we do not count, is left out by name and counted.
"""

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from random import Random
from typing import Any

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, Usage
from hypothesis import given, settings
from hypothesis import strategies as st

from app.pricing import public_list
from app.pricing.domain import PriceBook, Tokens

BOOK = PriceBook(1, (), {}, public_list.look_up)
KEPT = Decimal("1e-18")

Named = tuple[str, str]


def tables(model: ModelInfo) -> list[ModelPrice]:
    if isinstance(model.prices, list):
        return [each.prices for each in model.prices]
    return [model.prices]


def words(clause: Any) -> list[str]:
    """The names inside a clause that says which names mean a model."""
    found: list[str] = []
    for value in vars(clause).values():
        if isinstance(value, str):
            found.append(value)
        else:
            found += [word for each in value for word in words(each)]
    return found


def by_name() -> dict[Named, ModelInfo]:
    """Each model by a name that finds it; its own id is now and then shadowed by a wider name."""
    found = {}
    for provider in get_snapshot().providers:
        for model in provider.models:
            names = (model.id, *words(model.match))
            names = (*names, *(f"us.{name}" for name in names))
            for name in names:
                if public_list.lookup(provider.id, name) is model:
                    found[provider.id, name] = model
                    break
            else:
                UNREACHED.add((provider.id, model.id))
    return found


UNREACHED: set[Named] = set()
MODELS = by_name()
PRICED = [
    name
    for name, model in MODELS.items()
    if any(table.input_mtok is not None or table.output_mtok is not None for table in tables(model))
]


def agrees(name: Named, tokens: Tokens, at: datetime) -> bool:
    """Whether it does. A role without a price is free there and unknown here: see below."""
    provider, model = name
    quote = BOOK.quote(None, provider, model, at)
    assert quote is not None, name
    if quote.input is None:
        tokens = Tokens(output=tokens.output, reasoning=tokens.reasoning)
    if quote.output is None:
        tokens = Tokens(tokens.input, tokens.cache_read, tokens.cache_write)
    theirs = genai_prices.calc_price(
        Usage(
            input_tokens=tokens.total_input,
            cache_read_tokens=tokens.cache_read,
            cache_write_tokens=tokens.cache_write,
            output_tokens=tokens.output,
            output_reasoning_tokens=tokens.reasoning,
        ),
        model,
        provider_id=provider,
        genai_request_timestamp=at,
    ).total_price
    # 18 places are kept; only the few prices that are longer than twelve need the rounding.
    return quote.cost(tokens) == theirs.quantize(KEPT, ROUND_HALF_UP, Context(prec=60))


def test_every_model_agrees_at_random_counts() -> None:
    random = Random(20261121)
    wrong = []
    for name in PRICED:
        for most in (2_000, 300_000, 5_000_000):
            output = random.randrange(most)
            tokens = Tokens(
                random.randrange(most),
                random.randrange(most),
                random.randrange(most),
                output,
                random.randrange(output + 1),
            )
            at = datetime.fromtimestamp(random.randrange(1_700_000_000, 1_800_000_000), UTC)
            if not agrees(name, tokens, at):
                wrong.append((name, tokens, at))
    assert wrong == []
    assert len(PRICED) > 2_000


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(PRICED),
    st.tuples(*(st.integers(0, 10**9),) * 4),
    st.floats(0, 1),
    st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),
)
def test_any_model_agrees_at_any_count(
    name: Named, counts: tuple[int, int, int, int], share: float, at: datetime
) -> None:
    assert agrees(name, Tokens(*counts, int(counts[3] * share)), at)


def test_what_is_left_out_has_no_price_of_tokens() -> None:
    """These cost nothing there, because the list has no figure, or none for text tokens.

    Free offers stand there without figures too; we can't tell them from the unknown, and usage
    of an unknown price waits instead of counting as free. A price of 0 in the book says so.
    """
    left_out = sorted(set(MODELS) - set(PRICED))
    for name in left_out:
        assert BOOK.quote(None, *name, datetime(2026, 11, 21, tzinfo=UTC)) is None, name
    figures = {
        key
        for name in left_out
        for table in tables(MODELS[name])
        for key, value in vars(table).items()
        if value is not None
    }
    assert figures <= {
        "audio_hours",
        "input_audio_hours",
        "input_mchars",
        "input_document_kpages",
        "input_annotated_document_kpages",
        "input_text_messages_kcount",
    }
    assert ("openai", "whisper-1") in left_out
    assert len(left_out) < 210


def test_hardly_any_model_has_no_name_to_call_it_by() -> None:
    assert len(UNREACHED) < 30, UNREACHED


def test_fees_for_requests_and_prices_of_reasoning_are_matched_by_name() -> None:
    by_request = {name for name, m in MODELS.items() if any(t.requests_kcount for t in tables(m))}
    reasoned = {
        name for name, m in MODELS.items() if any(t.output_reasoning_mtok for t in tables(m))
    }
    assert by_request == {
        ("perplexity", "sonar"),
        ("perplexity", "sonar-pro"),
        ("perplexity", "sonar-reasoning"),
        ("perplexity", "sonar-reasoning-pro"),
    }
    assert reasoned == {
        ("openrouter", "perplexity/sonar-deep-research"),
        ("perplexity", "sonar-deep-research"),
    }
    at = datetime(2026, 11, 21, tzinfo=UTC)
    for name in by_request | reasoned:
        assert agrees(name, Tokens(1_000, 10, 20, 500, 300), at)
    quote = BOOK.quote(None, "perplexity", "sonar", at)
    assert quote is not None
    assert quote.cost(Tokens(1_000_000)) == Decimal("1.012")


@pytest.mark.parametrize("role", ["input", "output"])
def test_a_role_without_a_price_is_unknown_rather_than_free(role: str) -> None:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    quotes = [BOOK.quote(None, *name, at) for name in PRICED]
    missing = [quote for quote in quotes if quote and getattr(quote, role) is None]
    assert len(missing) < 200
    for quote in missing:
        assert quote.cost(Tokens(**{role: 1})) is None
