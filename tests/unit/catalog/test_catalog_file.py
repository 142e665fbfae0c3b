"""The catalog file: the three presets say what rule 1 says, and a wrong file names its line."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from app.catalog import domain
from app.catalog.document import (
    CatalogFile,
    StripePriceIds,
    catalog_of,
    parse_catalog,
    read_catalog,
)
from app.catalog.domain import Catalog
from app.catalog.errors import CatalogFileWrong
from app.kernel.entitlements import NO_PLAN, LimitPolicy, MetricLimit
from app.kernel.money import Money
from app.kernel.periods import Period

WINDOW = Period(datetime(2026, 11, 5, tzinfo=UTC), datetime(2026, 12, 5, tzinfo=UTC))


def preset(name: str, **plans: str) -> Catalog:
    return catalog_of(read_catalog(name), StripePriceIds(plans))


def test_aragora_is_what_the_requirements_sell() -> None:
    catalog = preset("aragora")
    monthly = {
        plan.key: price.money
        for plan in catalog.plans
        if (price := plan.price("month")) is not None
    }
    assert monthly == {
        "free": Money(0),
        "starter": Money(9_900),
        "professional": Money(29_900),
        "enterprise": Money(99_900),
        "enterprise_plus": Money(500_000),
    }
    assert [plan.limits["debates"].limit for plan in catalog.plans] == [10, 50, 200, None, None]
    assert [plan.seat_limit for plan in catalog.plans] == [1, 2, 10, None, None]
    assert [plan.rank for plan in catalog.plans] == [0, 1, 2, 3, 4]
    yearly = {
        plan.key: price.money for plan in catalog.plans if (price := plan.price("year")) is not None
    }
    assert yearly == {
        key: Money(10 * fee.minor) for key, fee in monthly.items() if fee and key != "free"
    }
    professional, enterprise, plus = catalog.plans[2:]
    assert professional.features == {"api_access", "all_agents", "audit_logs"}
    assert enterprise.features - professional.features == {
        "sso",
        "custom_agents",
        "priority_support",
    }
    assert plus.features - enterprise.features == {
        "dedicated_infra",
        "sla",
        "custom_models",
        "compliance",
    }
    assert [item.metric for item in plus.metered] == ["tokens_input", "tokens_output", "debates"]


def test_automation_has_no_free_plan_and_counts_by_calendar_month() -> None:
    catalog = preset("automation")
    limits = [
        [plan.limits[metric].limit for plan in catalog.plans]
        for metric in ("tokens", "api_calls", "scraping_tasks")
    ]
    assert limits == [[100_000, 1_000_000, None], [1_000, 10_000, None], [100, 1_000, None]]
    assert catalog.entitlements("pro", WINDOW).window is None
    free = catalog.free_entitlements()
    assert free.plan == NO_PLAN
    assert free.limits == {
        metric: MetricLimit(Decimal(0)) for metric in ("tokens", "api_calls", "scraping_tasks")
    }
    assert free.features == frozenset()
    assert free.seat_limit == 1


def test_opscenter_takes_a_credit_for_each_call() -> None:
    catalog = preset("opscenter")
    assert catalog.metrics["credits"].counts == ("inference", "embedding", "tts", "stt")
    professional = catalog.plan("professional")
    assert professional is not None
    assert professional.limits["credits"] == MetricLimit(Decimal(500), LimitPolicy.OVERAGE)
    (metered,) = professional.metered
    assert metered.price == domain.PerUnitPrice(Decimal("0.002"))
    assert catalog.free_entitlements().plan == "trial"


def test_stripe_price_ids_come_from_the_environment() -> None:
    catalog = preset("aragora", starter="price_s", **{"starter:year": "price_sy"})
    assert catalog.plan_for_price("price_s") == ("starter", "month")
    assert catalog.plan_for_price("price_sy") == ("starter", "year")
    assert catalog.plan_for_price("price_of_nobody") is None
    assert catalog.price_id("starter", "year") == "price_sy"
    assert catalog.price_id("professional", "month") is None


def test_the_version_is_its_content() -> None:
    file = read_catalog("aragora")
    ids = {
        catalog_of(file, StripePriceIds()).id,
        preset("aragora", starter="price_s").id,
        catalog_of(CatalogFile.stored(file.document), StripePriceIds()).id,
    }
    assert len(ids) == 1
    assert preset("opscenter").id not in ids


def test_a_stored_version_reads_back_as_it_was() -> None:
    for name in ("aragora", "automation", "opscenter"):
        file = read_catalog(name)
        again = catalog_of(CatalogFile.stored(file.document), StripePriceIds())
        assert again == catalog_of(file, StripePriceIds())


def test_upgrades_name_the_next_plan_that_would_do() -> None:
    catalog = preset("aragora")
    assert catalog.upgrade_for_feature("api_access", "free") == "professional"
    assert catalog.upgrade_for_feature("sso", "professional") == "enterprise"
    assert catalog.upgrade_for_feature("flying", "free") is None
    assert catalog.upgrade_for_quantity("debates", Decimal(11), "free") == "starter"
    assert catalog.upgrade_for_quantity("debates", Decimal(51), "free") == "professional"
    assert catalog.upgrade_for_quantity("debates", Decimal(1), "enterprise_plus") is None


HEAD = """\
name: mine
window: billing_period
metrics:
  calls: {unit: call}
plans:
  - key: one
    name: One
    seats: 1
"""
METERED = "    metered:\n      - metric: calls\n        price:\n"


def wrong(text: str) -> str:
    with pytest.raises(CatalogFileWrong) as caught:
        parse_catalog(text, "mine.yaml")
    return str(caught.value)


def test_head_is_a_catalog() -> None:
    assert parse_catalog(HEAD, "mine.yaml").name == "mine"


@pytest.mark.parametrize(
    ("tail", "line", "says"),
    [
        ("    limits: {call: 5}\n", 9, "there is no metric call"),
        ("    limits:\n      calls: -1\n", 10, "greater than or equal to 0"),
        ("    limits:\n      calls: {limit: 1, policy: rude}\n", 10, "'hard', 'soft' or 'overage'"),
        ("    trial_dais: 3\n", 9, "Extra inputs are not permitted"),
        ("    seats: 2\n", 9, "seats stands here twice"),
        ("    prices:\n      - {amount: 1.5}\n", 10, "valid integer"),
        ("    prices:\n      - {amount: 1}\n      - {amount: 2}\n", 6, "one price for each"),
        ("  - key: one\n    name: Two\n    seats: 1\n", 9, "two plans are called one"),
        (
            "    metered:\n      - metric: calls\n        price: {model: magic}\n",
            11,
            "does not match any of the expected tags",
        ),
        (
            METERED + "          model: graduated\n          tiers:\n"
            "            - {up_to: 10}\n            - {up_to: 5}\n            - {up_to: null}\n",
            13,
            "rises from tier to tier",
        ),
        (
            METERED + "          model: volume\n          tiers: [{up_to: 10}]\n",
            13,
            "last tier has up_to: null",
        ),
        ("    name: [\n", 10, ""),
    ],
)
def test_a_wrong_file_names_file_and_line(tail: str, line: int, says: str) -> None:
    message = wrong(HEAD + tail)
    assert message.startswith(f"mine.yaml, line {line}: "), message
    assert says in message


def test_a_name_that_is_nothing_lists_the_presets() -> None:
    with pytest.raises(CatalogFileWrong, match="aragora, automation, opscenter"):
        read_catalog("aragorn")


def test_every_price_model_can_be_said() -> None:
    tiers = "[{up_to: 10, unit_amount: 0.1}, {up_to: null, unit_amount: 0.05, flat_amount: 1}]"
    models = [
        "{model: flat, amount: 5}",
        "{model: per_unit, unit_amount: 0.000000000001}",
        f"{{model: graduated, tiers: {tiers}, flat_at_zero: true}}",
        f"{{model: volume, tiers: {tiers}}}",
        "{model: package, amount: 2, size: 1000, free_units: 5}",
        "{model: percentage, rate: 0.013, fixed_per_event: 2, free_events: 1}",
    ]
    text = HEAD + "    metered:\n"
    text += "".join(f"      - {{metric: calls, price: {model}}}\n" for model in models)
    plan = catalog_of(parse_catalog(text, "mine.yaml"), StripePriceIds()).plans[0]
    prices = [item.price for item in plan.metered]
    assert prices[1] == domain.PerUnitPrice(Decimal("0.000000000001"))
    assert prices[2] == domain.GraduatedPrice(
        (
            domain.Tier(Decimal(10), Decimal("0.1"), Decimal(0)),
            domain.Tier(None, Decimal("0.05"), Decimal(1)),
        ),
        flat_at_zero=True,
    )
    assert prices[5] == domain.PercentagePrice(Decimal("0.013"), Decimal(2), 1, Decimal(0))


def test_a_metered_price_can_be_bounded_and_told_apart_by_model() -> None:
    text = HEAD + (
        "    commitment: 100\n"
        "    metered:\n"
        "      - metric: calls\n"
        "        price: {model: per_unit, unit_amount: 0.5}\n"
        "        minimum_spend: 5\n"
        "        maximum_spend: 50.25\n"
        "        dimensions:\n"
        "          - {model: opus, role: output, price: {model: per_unit, unit_amount: 1}}\n"
    )
    file = parse_catalog(text, "mine.yaml")
    plan = catalog_of(file, StripePriceIds()).plans[0]
    assert plan.commitment == 100
    (metered,) = plan.metered
    assert (metered.minimum_spend, metered.maximum_spend) == (Decimal(5), Decimal("50.25"))
    assert metered.dimensions == (
        domain.DimensionPrice("opus", "output", domain.PerUnitPrice(Decimal(1))),
    )
    assert catalog_of(CatalogFile.stored(file.document), StripePriceIds()).plans[0] == plan


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("        included: 5\n", "go with a price"),
        (
            (
                "        price: {model: flat, amount: 1}\n        included: 5\n"
                "        dimensions: [{price: {model: flat, amount: 1}}]\n"
            ),
            "do not go together",
        ),
        (
            (
                "        price: {model: flat, amount: 1}\n"
                "        minimum_spend: 5\n        maximum_spend: 4\n"
            ),
            "not above maximum_spend",
        ),
    ],
)
def test_words_that_contradict_each_other_are_refused(words: str, says: str) -> None:
    assert says in wrong(HEAD + "    metered:\n      - metric: calls\n" + words)


@pytest.mark.parametrize(
    ("limit", "is_wrong"),
    [
        ("{limit: 1000, policy: overage}", True),
        ("{limit: 0, policy: overage}", False),
        ("{limit: null, policy: overage}", False),
        ("{limit: 1000, policy: soft}", False),
    ],
)
def test_units_that_a_limit_includes_do_not_go_with_dimensions(limit: str, is_wrong: bool) -> None:
    text = HEAD + (
        f"    limits: {{calls: {limit}}}\n"
        "    metered:\n"
        "      - metric: calls\n"
        "        price: {model: per_unit, unit_amount: 0.01}\n"
        "        dimensions: [{price: {model: per_unit, unit_amount: 0.02}}]\n"
    )
    if is_wrong:
        said = wrong(text)
        assert "includes units, and dimensions do not say whose" in said
        assert f"line {text.count(chr(10))}: " in said
    else:
        parse_catalog(text, "mine.yaml")


def test_a_plan_can_be_paid_from_credit() -> None:
    text = HEAD + "    draws_on_credit: true\n    metered: [{metric: calls}]\n"
    catalog = catalog_of(parse_catalog(text, "mine.yaml"), StripePriceIds())
    assert catalog.plans[0].draws_on_credit
    assert catalog.entitlements("one", None).draws_on_credit
    assert not preset("aragora").entitlements("enterprise", None).draws_on_credit


def test_nobody_pays_twice_for_tokens_or_from_credit_in_another_currency() -> None:
    tail = "    draws_on_credit: true\n    metered: [{metric: calls}]\n"
    text = (HEAD + tail).replace("unit: call", "unit: call, measure: tokens_in")
    assert "tokens are paid from credit" in wrong(text)
    assert "credit for costs is in usd" in wrong("currency: eur\n" + HEAD + tail)


def test_only_what_adds_up_has_a_price() -> None:
    head = HEAD.replace("calls: {", "calls: {aggregation: max, ", 1)
    assert head != HEAD
    text = head + "    metered:\n      - metric: calls\n        price: {model: flat, amount: 1}\n"
    assert "a price rates what adds up" in wrong(text)


def test_a_catalog_without_the_newer_words_keeps_its_version() -> None:
    hashes = {name: read_catalog(name).content_hash[:12] for name in ("aragora", "opscenter")}
    assert hashes == {"aragora": "7d676b7c1720", "opscenter": "2a92a4c0e192"}
