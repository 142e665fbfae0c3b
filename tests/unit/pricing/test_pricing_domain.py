"""What a call costs: exact sums, the lookup order, and agreement with the public list."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import genai_prices
import pytest
from genai_prices.types import Usage
from hypothesis import given, settings
from hypothesis import strategies as st

from app.kernel.ids import OrganizationId, new_id
from app.pricing import public_list, seed
from app.pricing.domain import (
    FROM_THE_BEGINNING,
    ListedPrice,
    PriceBook,
    PriceRow,
    PriceSource,
    Quote,
    RolePrice,
    SubsetTooLarge,
    TokenRole,
    Tokens,
    tokens_of,
)

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
OLD = NOW - timedelta(days=365)
US = OrganizationId(new_id())
THEM = OrganizationId(new_id())

counts = st.integers(min_value=0, max_value=10**12)
prices = st.decimals(min_value=0, max_value=10**7, places=10)


def row(
    provider: str,
    model: str,
    role: TokenRole,
    price: str,
    since: datetime = OLD,
    owner: OrganizationId | None = None,
) -> PriceRow:
    return PriceRow(new_id(), provider, model, role, Decimal(price), since, owner)


def knows_nothing(provider: str, model: str, at: datetime) -> ListedPrice | None:
    return None


def book(*rows: PriceRow, aliases: dict[tuple[str, str], str] | None = None) -> PriceBook:
    return PriceBook(1, rows, aliases or {}, knows_nothing)


def seeded() -> PriceBook:
    rows = [
        PriceRow(new_id(), provider, model, role, price, FROM_THE_BEGINNING)
        for provider, model, role, price in seed.seeded_rows()
    ]
    aliases = {(provider, alias): model for provider, alias, model in seed.ALIASES}
    return PriceBook(1, rows, aliases, public_list.look_up)


def test_cached_tokens_are_a_part_of_tokens_in() -> None:
    assert tokens_of(15_000, 10, 2_000) == Tokens(
        input=13_000, cache_read=2_000, cache_write=0, output=10
    )


@given(counts, counts, counts, counts, counts)
def test_roles_add_up_or_are_refused(
    tokens_in: int, tokens_out: int, cached: int, written: int, reasoning: int
) -> None:
    if cached + written > tokens_in or reasoning > tokens_out:
        with pytest.raises(SubsetTooLarge):
            tokens_of(tokens_in, tokens_out, cached, written, reasoning)
        return
    tokens = tokens_of(tokens_in, tokens_out, cached, written, reasoning)
    assert tokens.input + tokens.cache_read + tokens.cache_write == tokens_in
    assert tokens.total_input == tokens_in
    assert min(tokens.input, tokens.cache_read, tokens.cache_write, tokens.output) >= 0


@given(st.tuples(counts, counts, counts, counts), st.tuples(prices, prices, prices, prices))
def test_a_cost_is_exact(
    tokens: tuple[int, int, int, int], by_role: tuple[Decimal, Decimal, Decimal, Decimal]
) -> None:
    read, cached, written, output = (RolePrice(price) for price in by_role)
    quote = Quote(PriceSource.BOOK, "x", read, cached, written, output)
    cost = quote.cost(Tokens(*tokens))
    assert cost is not None
    wanted = sum(Fraction(n) * Fraction(p) for n, p in zip(tokens, by_role, strict=True))
    assert Fraction(cost) == wanted / 1_000_000


def test_tokens_without_a_price_have_no_cost_rather_than_none() -> None:
    quote = Quote(PriceSource.BOOK, "x", RolePrice(Decimal(1)), None, None, None)
    assert quote.cost(Tokens(input=1)) == Decimal("0.000001")
    assert quote.cost(Tokens(input=1, output=1)) is None
    assert quote.cost(Tokens()) == 0


@pytest.mark.parametrize(
    ("provider", "model", "read", "written"),
    [
        ("anthropic", "claude-opus-4", "15", "75"),
        ("anthropic", "claude-sonnet-4", "3", "15"),
        ("openai", "gpt-4o", "2.5", "10"),
        ("openai", "gpt-4o-mini", "0.15", "0.6"),
        ("google", "gemini-pro", "1.25", "5"),
        ("deepseek", "deepseek-v3", "0.14", "0.28"),
        ("openrouter", "whatever/there-is", "2", "8"),
        ("OpenAI ", "GPT-4o", "2.5", "10"),
        ("openai", "gpt-4o-2024-11-20", "2.5", "10"),
    ],
)
def test_the_seven_prices_of_the_requirements_win(
    provider: str, model: str, read: str, written: str
) -> None:
    quote = seeded().quote(None, provider, model, NOW)
    assert quote is not None
    assert quote.source is not PriceSource.PUBLIC_LIST
    million = Tokens(input=1_000_000)
    assert quote.cost(million) == Decimal(read)
    assert quote.cost(Tokens(output=1_000_000)) == Decimal(written)


@pytest.mark.parametrize(
    ("provider", "model", "cached", "written"),
    [
        ("openai", "gpt-4o", "1.25", "3.125"),  # the public list: half of the input
        ("anthropic", "claude-sonnet-4", "0.30", "3.75"),
        ("google", "gemini-pro", "0.125", "1.5625"),  # the list has no cached price
        ("deepseek", "deepseek-v3", "0.014", "0.175"),  # the list does not know it
    ],
)
def test_cached_tokens_without_an_own_price(
    provider: str, model: str, cached: str, written: str
) -> None:
    quote = seeded().quote(None, provider, model, NOW)
    assert quote is not None
    assert quote.cost(Tokens(cache_read=1_000_000)) == Decimal(cached)
    assert quote.cost(Tokens(cache_write=1_000_000)) == Decimal(written)


def test_an_own_cached_price_wins() -> None:
    quote = book(
        row("acme", "one", TokenRole.INPUT, "10"),
        row("acme", "one", TokenRole.CACHE_READ, "4"),
        row("acme", "*", TokenRole.CACHE_WRITE, "99"),
    ).quote(None, "acme", "one", NOW)
    assert quote is not None
    assert quote.cost(Tokens(cache_read=1_000_000)) == 4
    # The provider's default for another model's cache is not this model's.
    assert quote.cost(Tokens(cache_write=1_000_000)) == Decimal("12.5")


def test_the_lookup_order() -> None:
    lines = [
        (PriceSource.OVERRIDE, row("acme", "one", TokenRole.INPUT, "1", owner=US)),
        (PriceSource.BOOK, row("acme", "one", TokenRole.INPUT, "2")),
        (PriceSource.ALIAS, row("acme", "base", TokenRole.INPUT, "3")),
        (PriceSource.PROVIDER_DEFAULT, row("acme", "*", TokenRole.INPUT, "4")),
    ]
    listed = ListedPrice("list", RolePrice(Decimal(5)), None, None, None)
    for left_out in range(5):
        prices_left = [line for _, line in lines[left_out:]]
        prices_book = PriceBook(1, prices_left, {("acme", "one"): "base"}, lambda *_: listed)
        quote = prices_book.quote(US, "acme", "one", NOW)
        assert quote is not None
        assert quote.source is list(PriceSource)[left_out]
        assert quote.cost(Tokens(input=1_000_000)) == left_out + 1
    assert book().quote(US, "acme", "one", NOW) is None


def test_an_override_is_its_organizations_alone() -> None:
    both = book(
        row("acme", "one", TokenRole.INPUT, "1", owner=US), row("acme", "one", TokenRole.INPUT, "2")
    )
    ours, theirs = both.quote(US, "acme", "one", NOW), both.quote(THEM, "acme", "one", NOW)
    assert ours is not None
    assert theirs is not None
    assert ours.cost(Tokens(input=1_000_000)) == 1
    assert theirs.cost(Tokens(input=1_000_000)) == 2


def test_an_override_of_one_role_leaves_the_others() -> None:
    quote = book(
        row("acme", "one", TokenRole.INPUT, "1", owner=US),
        row("acme", "one", TokenRole.INPUT, "2"),
        row("acme", "one", TokenRole.OUTPUT, "8"),
    ).quote(US, "acme", "one", NOW)
    assert quote is not None
    assert quote.cost(Tokens(input=1_000_000, output=1_000_000)) == 9


def test_an_event_is_priced_by_the_price_in_force_when_it_happened() -> None:
    change = NOW - timedelta(days=3)
    dated = book(
        row("acme", "one", TokenRole.INPUT, "1"),
        row("acme", "one", TokenRole.INPUT, "7", since=change),
        row("acme", "one", TokenRole.INPUT, "9", since=NOW + timedelta(days=1)),
    )

    def price(at: datetime) -> Decimal | None:
        quote = dated.quote(None, "acme", "one", at)
        return quote.cost(Tokens(input=1_000_000)) if quote else None

    instant = timedelta(microseconds=1)
    assert [price(at) for at in (OLD - instant, OLD, change - instant, change, NOW)] == [
        None,
        1,
        1,
        7,
        7,
    ]


def test_the_rows_used_are_named_once() -> None:
    read, written = (
        row("acme", "one", TokenRole.INPUT, "1"),
        row("acme", "one", TokenRole.OUTPUT, "2"),
    )
    quote = book(read, written).quote(None, "acme", "one", NOW)
    assert quote is not None
    assert quote.row_ids == (read.id, written.id)


LISTED = [
    ("openai", "gpt-4o"),
    ("openai", "o3-mini"),
    ("anthropic", "claude-3-5-haiku-latest"),
    ("anthropic", "claude-opus-4-1"),
    ("google", "gemini-2.5-pro"),
    ("google", "gemini-pro"),
    ("deepseek", "deepseek-chat"),
    ("mistral", "mistral-large-latest"),
    ("groq", "llama-3.3-70b-versatile"),
    ("openrouter", "anthropic/claude-sonnet-4"),
]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(LISTED),
    st.integers(0, 400_000),
    st.integers(0, 400_000),
    st.integers(0, 400_000),
    st.integers(0, 100_000),
    st.datetimes(datetime(2025, 1, 1), datetime(2026, 11, 21), timezones=st.just(UTC)),
)
def test_the_public_list_is_read_as_it_reads_itself(
    named: tuple[str, str], plain: int, cached: int, written: int, output: int, at: datetime
) -> None:
    provider, model = named
    quote = PriceBook(1, (), {}, public_list.look_up).quote(None, provider, model, at)
    assert quote is not None, named
    theirs = genai_prices.calc_price(
        Usage(
            input_tokens=plain + cached + written,
            cache_read_tokens=cached,
            cache_write_tokens=written,
            output_tokens=output,
        ),
        model,
        provider_id=provider,
        genai_request_timestamp=at,
    )
    assert quote.cost(Tokens(plain, cached, written, output)) == theirs.total_price
    assert quote.reference.startswith("genai-prices ")
