"""Invoices at random: any plan, any usage, any tax, discount and credit, and their proofs."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from app.catalog.domain import (
    Aggregation,
    Catalog,
    DimensionPrice,
    FlatPrice,
    GraduatedPrice,
    Interval,
    Measure,
    MeteredPrice,
    Metric,
    PackagePrice,
    PercentagePrice,
    PerUnitPrice,
    Plan,
    PlanPrice,
    QuotaWindow,
    Tier,
    UsagePrice,
    VolumePrice,
)
from app.invoices.document import Party
from app.invoices.domain import TaxRate, charges_of, total_up
from app.invoices.repository.own import Billed
from app.invoices.service.composing import Composed
from app.invoices.service.evidence import Issue, Link, canonical, proof_of
from app.invoices.service.rating import Bill, RatedPart, RatedWindow, Terms, put_together
from app.invoices.taxation import Taxation
from app.kernel.entitlements import LimitPolicy, MetricLimit
from app.kernel.ids import OrganizationId
from app.kernel.money import Currency, Money
from app.kernel.periods import Period, plus_months
from app.kernel.settling import CreditDrawn, Discount, DiscountStage
from app.pricing.domain import Tokens
from app.usage.closed import ClosedLine, ClosedUsage, LineProof

METRICS = {
    metric.key: metric
    for metric in (
        Metric("debates", Aggregation.COUNT, "debate", event_type="debate"),
        Metric(
            "tokens_input", Aggregation.SUM, "token", Measure.TOKENS_IN, counts_every_event=True
        ),
        Metric("tokens", Aggregation.SUM, "token", Measure.TOKENS, event_type="tokens"),
        Metric("minutes", Aggregation.SUM, "minute", event_type="tts", counts=("debates",)),
    )
}
ROLES = ("input", "output", "cache_read", "cache_write", "*")
MODELS = (("", ""), ("anthropic", "claude-sonnet-4"), ("openai", "gpt-4o"), ("google", "ge|ñ ✓"))
NOBODY = Party("Ö & Sons — 株式会社", ('1 "Main" St', "東京"), "billing@example.com", "DE136695976")


@dataclass(frozen=True)
class AnyInvoice:
    """An invoice and the file of its proof."""

    composed: Composed
    credit: tuple[CreditDrawn, ...]
    number: str
    hash: str
    text: str


def any_invoice(
    dice: random.Random, place: int = 1, before: AnyInvoice | None = None
) -> AnyInvoice:
    """The invoice of a window, with earlier windows that have moved, and what may come off it."""
    currency = Currency(dice.choice(["usd", "usd", "eur", "jpy", "kwd"]))
    start = datetime(2026, dice.randint(1, 12), dice.randint(1, 28), tzinfo=UTC)
    period = Period(start, plus_months(start, 1))
    if dice.random() < 0.3:
        period = Period(start, start + timedelta(seconds=dice.randint(1, 2_400_000)))
    own = _window(dice, period, currency, with_fee=dice.random() < 0.7)
    if dice.random() < 0.2:
        own = replace(own, before=_before(dice, own))
    again = []
    for back in range(dice.choice([0, 0, 1, 2])):
        earlier = Period(plus_months(start, -2 - back), plus_months(start, -1 - back))
        window = _window(dice, earlier, currency, with_fee=False)
        again.append(replace(window, before=_before(dice, window)))
    lines, _ = put_together(own, again)
    terms = Terms(period, "any", own.parts[0].catalog.id, True, False)
    bill = Bill(terms, currency, lines, (), (own, *again))
    rates = [TaxRate(f"Tax {n}", _decimal(dice, 4, 1)) for n in range(dice.choice([0, 1, 1, 2]))]
    discounts = [_discount(dice, currency) for _ in range(dice.choice([0, 0, 1, 2, 3]))]
    amounts = [line.amount for line in lines]
    totals = total_up(amounts, discounts, rates, Money.zero(currency))
    composed = Composed(bill, totals, Taxation(tuple(rates)), NOBODY, "transfer")
    credit = _credit(dice, totals.total)
    issue = Issue(
        id=_id(dice),
        organization_id=OrganizationId(_id(dice)),
        number=f"INV-2026-{place:06}",
        issued_at=period.end + timedelta(hours=1),
        due_at=period.end + timedelta(days=14),
        seller=NOBODY,
        credit=credit,
        previous=Link(before.number, before.hash) if before is not None else None,
    )
    document = canonical(proof_of(issue, composed, {}))
    digest = hashlib.sha256(document.encode()).hexdigest()
    text = f'{{"hash":"{digest}","proof":{document}}}'
    return AnyInvoice(composed, credit, issue.number, digest, text)


def _window(
    dice: random.Random, period: Period, currency: Currency, *, with_fee: bool
) -> RatedWindow:
    plan = _plan(dice, currency)
    catalog = Catalog(
        id=_id(dice),
        name="any",
        window=QuotaWindow.BILLING_PERIOD,
        default_plan_key=None,
        metrics=METRICS,
        plans=(plan,),
        currency=currency,
        content_hash=f"{dice.getrandbits(256):064x}",
    )
    middle = period.start + (period.end - period.start) / 2
    drawing = (Period(middle, period.end),) if dice.random() < 0.3 else ()
    usage = ClosedUsage(period, _lines(dice, paid=bool(drawing)), from_credit=drawing)
    at_cost = currency == "usd" and dice.random() < 0.5
    charges = charges_of(plan, catalog, usage.lines, period, with_fee=with_fee, at_cost=at_cost)
    part = RatedPart("", plan.key, plan, catalog, at_cost, (usage,))
    return RatedWindow(period, currency, (part,), tuple(charges), {})


def _plan(dice: random.Random, currency: Currency) -> Plan:
    limits = {"tokens": MetricLimit(Decimal(1_000), LimitPolicy.OVERAGE)}
    fee = PlanPrice(Money(dice.choice([0, 999, 500_000]), currency), Interval.MONTH, None)
    metered = tuple(
        _metered(dice, metric, includes=metric in limits)
        for metric in dice.sample(sorted(METRICS), dice.randint(0, 3))
    )
    commitment = _decimal(dice, 2, 2_000) if dice.random() < 0.2 else None
    return Plan("any", "Any", "", 0, (fee,), None, limits, frozenset(), metered, 0, commitment)


def _metered(dice: random.Random, metric: str, *, includes: bool) -> MeteredPrice:
    """Included units, be it by the limit, do not go together with dimensions."""
    by_model = not includes and dice.random() < 0.4
    return MeteredPrice(
        metric,
        _price(dice),
        None,
        included=_decimal(dice, 2, 5_000) if not by_model and dice.random() < 0.6 else Decimal(0),
        minimum_spend=_decimal(dice, 2, 50) if dice.random() < 0.2 else None,
        maximum_spend=_decimal(dice, 2, 500) + 50 if dice.random() < 0.4 else None,
        dimensions=tuple(
            DimensionPrice(
                dice.choice(["*", "gpt-4o", "openai/gpt-4o", "claude-sonnet-4"]),
                dice.choice(ROLES),
                _price(dice),
            )
            for _ in range(dice.choice([2, 4]) if by_model else 0)
        ),
    )


def _price(dice: random.Random) -> UsagePrice:
    match dice.randint(0, 5):
        case 0:
            return FlatPrice(_decimal(dice, 3, 20))
        case 1:
            return PerUnitPrice(_decimal(dice, 9, 1))
        case 2:
            return PackagePrice(
                _decimal(dice, 2, 5), Decimal(dice.choice([1, 7, 1000])), Decimal(5)
            )
        case 3:
            fixed = dice.choice([Decimal(0), Decimal("0.3")])
            return PercentagePrice(_decimal(dice, 4, 1), fixed, dice.randint(0, 3), Decimal(10))
        case kind:
            bounds = sorted(dice.sample(range(1, 5_000), dice.randint(0, 3)))
            tiers = tuple(
                Tier(
                    None if bound is None else Decimal(bound),
                    _decimal(dice, 6, 1),
                    dice.choice([Decimal(0), _decimal(dice, 2, 9)]),
                )
                for bound in (*bounds, None)
            )
            price = GraduatedPrice if kind == 4 else VolumePrice
            return price(tiers, flat_at_zero=dice.random() < 0.5)


def _lines(dice: random.Random, *, paid: bool) -> list[ClosedLine]:
    """Usage of some metrics and models; of what *paid* for calls from credit, lines apart."""
    found = []
    for metric in dice.sample(["debates", "tokens", "minutes", "gone"], dice.randint(0, 4)):
        for provider, model in dice.sample(MODELS, dice.randint(1, 3)):
            tokens = Tokens(
                dice.randint(0, 3_000),
                dice.choice([0, 400]),
                dice.choice([0, 0, 70]),
                dice.randint(3, 9_000),
                dice.choice([0, 3]),
            )
            digest = f"{dice.getrandbits(256):064x}"
            found.append(
                ClosedLine(
                    metric,
                    provider,
                    model,
                    dice.randint(1, 400),
                    _decimal(dice, 3, 4_000),
                    tokens,
                    _decimal(dice, 18, 30),
                    LineProof(metric.removesuffix("s"), digest, (), ("book",)),
                    from_credit=paid and dice.random() < 0.5,
                )
            )
    return found


def _before(dice: random.Random, window: RatedWindow) -> dict[str, Billed]:
    """What documents asked for already: something else than what is due now."""
    keys = [charge.key for charge in window.charges if charge.key != "fee"]
    return {
        key: Billed(f"Adjustment: {key}", dice.randint(-300, 60_000))
        for key in dice.sample([*keys, "metric:forgotten"], dice.randint(0, len(keys) + 1))
    }


def _discount(dice: random.Random, currency: Currency) -> Discount:
    stage = dice.choice(list(DiscountStage))
    if dice.random() < 0.5:
        fixed = Money(dice.choice([0, 1, 999, 10_000_000]), currency)
        return Discount("Fixed", stage, fixed=fixed, reference=_id(dice))
    return Discount("Share", stage, percent=_decimal(dice, 2, 100), reference=_id(dice))


def _credit(dice: random.Random, total: Money) -> tuple[CreditDrawn, ...]:
    """Up to three draws that come to the total at most."""
    left, drawn = total.minor, []
    for _ in range(dice.choice([0, 0, 1, 3])):
        if left:
            amount = dice.randint(1, left)
            left -= amount
            drawn.append(CreditDrawn(_id(dice), _id(dice), Money(amount, total.currency)))
    return tuple(drawn)


def _decimal(dice: random.Random, places: int, below: int) -> Decimal:
    return Decimal(dice.randrange(below * 10**places + 1)).scaleb(-places)


def _id(dice: random.Random) -> UUID:
    return UUID(int=dice.getrandbits(128))
