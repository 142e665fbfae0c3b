"""What an invoice rests on, as one document that anybody can follow with pencil and paper.

Everything in it is text, a whole number, a truth or nothing: no float, so that its one spelling
(sorted names, no blanks, UTF-8) has one hash. `docs/proof.md` explains each part.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.catalog.domain import (
    Aggregation,
    Catalog,
    FlatPrice,
    GraduatedPrice,
    Measure,
    MeteredPrice,
    Metric,
    PackagePrice,
    PercentagePrice,
    PerUnitPrice,
    UsagePrice,
    VolumePrice,
)
from app.invoices.document import Party, party_to_json
from app.invoices.domain import (
    ROUNDING,
    Charge,
    bills_costs,
    counts,
    included_units,
    is_ours,
)
from app.invoices.service.composing import Composed, discounts_of, exact_amount, steps_of, taxes_of
from app.invoices.service.rating import RatedPart, RatedWindow
from app.kernel.ids import OrganizationId, encode_id
from app.kernel.money import Currency, Money
from app.kernel.periods import Period
from app.kernel.rates import plain
from app.kernel.settling import CreditDrawn
from app.usage.closed import ClosedLine

VERSION = 1


@dataclass(frozen=True, slots=True)
class Link:
    """An invoice in its series, and the hash of its proof."""

    number: str
    hash: str


@dataclass(frozen=True, slots=True)
class Issue:
    """What is known of an invoice once it is issued."""

    id: UUID
    organization_id: OrganizationId
    number: str
    issued_at: datetime
    due_at: datetime
    seller: Party
    credit: Sequence[CreditDrawn]
    previous: Link | None


def canonical(document: Mapping[str, Any]) -> str:
    """The one spelling of a proof; its hash is the SHA-256 of this in UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def proof_of(
    issue: Issue, composed: Composed, prices: Mapping[UUID, Mapping[str, Any]]
) -> dict[str, Any]:
    """The proof of an invoice; *prices* are the rows of the price book that its usage names."""
    bill, totals = composed.bill, composed.totals
    credit = sum((one.amount.minor for one in issue.credit), 0)
    named = {
        each for line in usage_of(composed) for each in (line.proof.price_ids if line.proof else ())
    }
    return {
        "version": VERSION,
        "id": encode_id("inv", issue.id),
        "organization": encode_id("org", issue.organization_id),
        "number": issue.number,
        "previous": None
        if issue.previous is None
        else {"number": issue.previous.number, "hash": issue.previous.hash},
        "issued_at": instant(issue.issued_at),
        "due_at": instant(issue.due_at),
        "seller": party_to_json(issue.seller),
        "customer": party_to_json(composed.customer),
        "period": _period(bill.terms.period),
        "currency": str(bill.currency),
        "digits": bill.currency.digits,
        "rounding": ROUNDING,
        "windows": [_window(window) for window in bill.rated],
        "prices": [
            {"id": encode_id("prc", each), **prices[each]}
            for each in sorted(named)
            if each in prices
        ],
        "lines": [
            {
                "index": index,
                "kind": line.kind.value,
                "key": line.key,
                "description": line.description,
                "period": _period(line.period),
                "amount": line.amount.minor,
                "discount": shares.discount.minor,
                "tax": shares.tax.minor,
                **_worked_out(line.charge),
            }
            for index, (line, shares) in enumerate(zip(bill.lines, totals.lines, strict=True))
        ],
        "discounts": discounts_of(totals.discounts),
        "taxes": taxes_of(composed),
        "credit": [
            {
                "entry": encode_id("ctx", one.entry_id),
                "grant": encode_id("crd", one.grant_id),
                "amount": one.amount.minor,
            }
            for one in issue.credit
        ],
        "notes": list(composed.taxation.notes),
        "totals": {
            "subtotal": totals.subtotal.minor,
            "discount": totals.discount.minor,
            "tax": totals.tax.minor,
            "total": totals.total.minor,
            "credit": credit,
            "amount_due": totals.total.minor - credit,
        },
    }


def usage_of(composed: Composed) -> Iterator[ClosedLine]:
    """All usage that a document rests on."""
    for window in composed.bill.rated:
        for part in window.parts:
            for usage in part.usage:
                yield from usage.lines


def instant(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _period(period: Period) -> dict[str, str]:
    return {"start": instant(period.start), "end": instant(period.end)}


def _worked_out(charge: Charge | None) -> dict[str, Any]:
    if charge is None:
        return {"exact": None, "quantity": None, "unit_amount": None, "steps": []}
    return {
        "exact": plain(exact_amount(charge)),
        "quantity": _number(charge.quantity),
        "unit_amount": _number(charge.unit_amount),
        "steps": steps_of(charge),
    }


def _window(window: RatedWindow) -> dict[str, Any]:
    return {
        "period": _period(window.period),
        "fees": [
            {
                "key": charge.key,
                "amount": plain(charge.share.amount),
                "used": _period(charge.share.used),
                "of": _period(charge.share.of),
            }
            for charge in window.charges
            if charge.share is not None
        ],
        "parts": [_part(part) for part in window.parts],
        "before": [
            {"key": key, "description": one.description, "amount": one.amount}
            for key, one in window.before.items()
        ],
        "charges": [
            {
                "key": charge.key,
                "kind": charge.kind.value,
                "exact": plain(exact_amount(charge)),
                "amount": _minor(charge.amount, window.currency),
            }
            for charge in window.charges
        ],
    }


def _part(part: RatedPart) -> dict[str, Any]:
    plan, catalog = part.plan, part.catalog
    seen = sorted({line.metric for usage in part.usage for line in usage.lines})
    return {
        "prefix": part.prefix,
        "plan": part.key,
        "catalog": {"version": str(catalog.id), "hash": catalog.content_hash},
        "metered": [
            _metered(item, included, catalog, seen)
            for item in (plan.metered if plan is not None else ())
            if plan is not None
            and is_ours(item)
            and (included := included_units(plan, item)) is not None
        ],
        "at_cost": bills_costs(plan, at_cost=part.at_cost),
        "commitment": _number(plan.commitment) if plan is not None else None,
        "usage": [
            {
                "period": _period(usage.period),
                "from_credit": [_period(each) for each in usage.from_credit],
                "rows": [_usage(line) for line in usage.lines],
            }
            for usage in part.usage
        ],
    }


def _metered(
    item: MeteredPrice, included: Decimal, catalog: Catalog, seen: Sequence[str]
) -> dict[str, Any]:
    metric = catalog.metrics[item.metric]
    assert item.price is not None
    return {
        "metric": item.metric,
        "counts": [name for name in seen if counts(metric, name, catalog.metrics)],
        "figure": _figure(metric),
        "included": plain(included),
        "minimum": _number(item.minimum_spend),
        "maximum": _number(item.maximum_spend),
        "price": _price(item.price),
        "dimensions": [
            {"model": one.model, "role": one.role, "price": _price(one.price)}
            for one in item.dimensions
        ],
    }


def _figure(metric: Metric) -> str:
    if metric.measure is Measure.QUANTITY and metric.aggregation is Aggregation.COUNT:
        return "events"
    return metric.measure.value


def _price(price: UsagePrice) -> dict[str, Any]:
    match price:
        case FlatPrice():
            return {"model": "flat", "amount": plain(price.amount)}
        case PerUnitPrice():
            return {"model": "per_unit", "unit_amount": plain(price.unit_amount)}
        case PackagePrice():
            return {
                "model": "package",
                "amount": plain(price.amount),
                "size": plain(price.size),
                "free_units": plain(price.free_units),
            }
        case PercentagePrice():
            return {
                "model": "percentage",
                "rate": plain(price.rate),
                "fixed_per_event": plain(price.fixed_per_event),
                "free_events": price.free_events,
                "free_amount": plain(price.free_amount),
            }
        case GraduatedPrice() | VolumePrice():
            return {
                "model": "graduated" if isinstance(price, GraduatedPrice) else "volume",
                "flat_at_zero": price.flat_at_zero,
                "tiers": [
                    {
                        "up_to": _number(tier.up_to),
                        "unit_amount": plain(tier.unit_amount),
                        "flat_amount": plain(tier.flat_amount),
                    }
                    for tier in price.tiers
                ],
            }


def _usage(line: ClosedLine) -> dict[str, Any]:
    proof = line.proof
    return {
        "type": proof.event_type if proof else line.metric,
        "metric": line.metric,
        "provider": line.provider,
        "model": line.model,
        "from_credit": line.from_credit,
        "events": line.events,
        "quantity": plain(line.quantity),
        "tokens_in": line.tokens.total_input,
        "cached_tokens": line.tokens.cache_read,
        "cache_write_tokens": line.tokens.cache_write,
        "tokens_out": line.tokens.output,
        "reasoning_tokens": line.tokens.reasoning,
        "cost_usd": plain(line.cost_usd),
        "digest": proof.digest if proof else None,
        "prices": [encode_id("prc", each) for each in proof.price_ids] if proof else [],
        "sources": list(proof.sources) if proof else [],
    }


def _number(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _minor(amount: Decimal, currency: Currency) -> int:
    return Money.from_major(amount, currency).minor
