"""Events as lines of a file: JSON as the API shows an event, or CSV that is safe in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from app.kernel.ids import encode_id
from app.kernel.rates import plain

Format = Literal["csv", "ndjson"]

MEDIA_TYPES: dict[Format, str] = {"csv": "text/csv", "ndjson": "application/x-ndjson"}

COLUMNS = (
    "id",
    "event_id",
    "type",
    "quantity",
    "occurred_at",
    "received_at",
    "provider",
    "model",
    "tokens_in",
    "tokens_out",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_usd",
    "priced",
    "price_source",
    "price_reference",
    "price_ids",
    "debate_id",
    "agent",
    "workspace",
    "user_id",
    "request_type",
    "rounds",
    "latency_ms",
    "metadata",
    "raw_usage",
    "voided_at",
    "void_reason",
)

# A spreadsheet takes text that begins so for a formula and runs it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def member(row: Mapping[Any, Any]) -> dict[str, Any]:
    """One event with the members and spellings of the list."""
    cost = row["cost_usd"]
    quantity: Decimal = row["quantity"]
    return {
        "id": row["event_key"],
        "event_id": encode_id("evt", row["id"]),
        "type": row["event_type"],
        "quantity": int(quantity) if quantity == quantity.to_integral_value() else plain(quantity),
        "occurred_at": _instant(row["occurred_at"]),
        "received_at": _instant(row["created_at"]),
        "provider": row["provider"],
        "model": row["model"],
        "tokens_in": row["tokens_in"],
        "tokens_out": row["tokens_out"],
        "cached_tokens": row["cached_tokens"],
        "cache_write_tokens": row["cache_write_tokens"],
        "reasoning_tokens": row["reasoning_tokens"],
        "cost_usd": None if cost is None else plain(cost),
        "priced": cost is not None,
        "price_source": row["price_source"],
        "price_reference": row["price_reference"],
        "price_ids": [encode_id("prc", each) for each in row["price_ids"] or ()],
        "debate_id": row["debate_id"],
        "agent": row["agent"],
        "workspace": row["workspace"],
        "user_id": row["user_id"],
        "request_type": row["request_type"],
        "rounds": row["rounds"],
        "latency_ms": None if row["latency_ms"] is None else plain(row["latency_ms"]),
        "metadata": row["metadata"],
        "raw_usage": row["raw_usage"],
        "voided_at": None if row["voided_at"] is None else _instant(row["voided_at"]),
        "void_reason": row["void_reason"],
    }


def ndjson(rows: Iterable[Mapping[Any, Any]]) -> bytes:
    """One JSON object a line."""
    lines = [
        json.dumps(member(row), ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows
    ]
    return "".join(lines).encode()


def csv_header() -> bytes:
    return (",".join(COLUMNS) + "\r\n").encode()


def csv_lines(rows: Iterable[Mapping[Any, Any]]) -> bytes:
    """RFC 4180 lines in the order of `COLUMNS`."""
    page = io.StringIO()
    writer = csv.writer(page)
    for row in rows:
        writer.writerow([_cell(value) for value in member(row).values()])
    return page.getvalue().encode()


def _cell(value: Any) -> Any:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return f"'{value}" if value.startswith(_FORMULA) else value
        case [str(), *_] | []:
            return " ".join(value)
        case dict() | list():
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        case _:
            return value


def _instant(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")
