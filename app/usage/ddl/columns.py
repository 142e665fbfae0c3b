"""The columns in which a flush travels, in the order of the function's arguments.

A column is one text, joined by a separator and split in the database: the driver takes 1 to 3 µs
to encode an element of an array, and 0.15 µs to join its text. An empty element is null; a column
that is null throughout is not sent.
"""

from __future__ import annotations

Columns = tuple[tuple[str, str], ...]

CLASSES: Columns = (
    ("organization_id", "uuid"),
    ("event_type", "text"),
    ("provider", "text"),
    ("model", "text"),
    ("hour", "int"),
    ("window_start", "bigint"),
    ("price_source", "text"),
    ("price_reference", "text"),
    ("price_ids", "text"),
)
"""What many events share. Hours and microseconds count from 1970."""

EVENTS: Columns = (
    ("class", "int"),
    ("id", "uuid"),
    ("key_hash", "uuid"),
    ("payload_hash", "uuid"),
    ("occurred_at", "bigint"),
    ("event_key", "text"),
    ("quantity", "numeric"),
    ("tokens_in", "bigint"),
    ("tokens_out", "bigint"),
    ("cost_usd", "numeric"),
    ("counted", "text"),
    ("cached_tokens", "bigint"),
    ("cache_write_tokens", "bigint"),
    ("reasoning_tokens", "bigint"),
    ("rounds", "bigint"),
    ("latency_ms", "numeric"),
    ("metadata", "text"),
    ("raw_usage", "text"),
    ("agent", "text"),
    ("api_key_id", "uuid"),
    ("debate_id", "text"),
    ("request_type", "text"),
    ("user_id", "text"),
    ("workspace", "text"),
    ("reservation_id", "uuid"),
)
"""What an event has of its own. `class` is the place of its class, from 1."""

_FIGURES: Columns = (
    ("events", "bigint"),
    ("quantity", "numeric"),
    ("tokens_in", "bigint"),
    ("tokens_out", "bigint"),
    ("cached_tokens", "bigint"),
    ("cost_usd", "numeric"),
    ("unpriced", "bigint"),
)

HOURS: Columns = (
    ("organization_id", "uuid"),
    ("hour", "int"),
    ("event_type", "text"),
    ("provider", "text"),
    ("model", "text"),
    *_FIGURES,
)
"""What the flush adds to `usage_hourly` if none of its events is skipped; sorted."""

DAYS: Columns = (
    ("organization_id", "uuid"),
    ("day", "int"),
    ("dimension", "text"),
    ("value", "text"),
    *_FIGURES,
)
"""The same for `usage_daily`."""

MONTHS: Columns = (
    ("organization_id", "uuid"),
    ("month", "text"),
    ("debates", "numeric"),
    ("api_calls", "numeric"),
    ("total_tokens", "bigint"),
    ("total_cost", "numeric"),
    ("events", "bigint"),
    ("tokens_in", "bigint"),
    ("tokens_out", "bigint"),
    ("unpriced", "bigint"),
)
"""The same for `usage_monthly`."""

COUNTERS: Columns = (
    ("organization_id", "uuid"),
    ("metric", "text"),
    ("window_start", "bigint"),
    ("most", "numeric"),
    ("amount", "numeric"),
)
"""Counters that the flush moves, sorted: everybody locks them in this order."""

ENFORCED: Columns = (("event", "int"), ("counter", "int"), ("amount", "numeric"))
"""What events that ask to be refused past a hard limit would add to which counter.

An event that adds to none is there once, without a counter."""

SPENDERS: Columns = (("event", "int"), ("caller", "text"), ("may_exceed", "boolean"))
"""Whose each event is that asks to be refused, for limits on spending."""

OTHERS: Columns = (
    ("event", "int"),
    ("counter", "int"),
    ("kind", "text"),
    ("value", "text"),
    ("most", "numeric"),
)
"""What is no sum: the largest and the latest value, and different ones by their digests.

`most` is a hard limit that the event asks to be held to."""

GROUPS: tuple[tuple[str, Columns], ...] = (
    ("c", CLASSES),
    ("e", EVENTS),
    ("h", HOURS),
    ("d", DAYS),
    ("m", MONTHS),
    ("k", COUNTERS),
    ("x", ENFORCED),
    ("o", OTHERS),
    ("b", SPENDERS),
)

ARGUMENTS: tuple[tuple[str, str], ...] = (
    ("p_separator", "text"),
    ("p_now", "timestamptz"),
    ("p_price_version", "bigint"),
    ("p_organizations", "text"),
    ("p_stamps", "text"),
    *((f"{prefix}_{name}", "text") for prefix, columns in GROUPS for name, _ in columns),
)
"""The whole signature: the frame, then every column of every group as a text."""


def array(argument: str, kind: str = "text") -> str:
    """SQL for the array that a column's text stands for."""
    cast = "" if kind == "text" else f"::{kind}[]"
    return f"string_to_array({argument}, p_separator, ''){cast}"


def unnest(prefix: str, columns: Columns) -> str:
    """SQL for the rows of a group: `unnest(…) with ordinality as t (…, n)`."""
    arrays = ", ".join(array(f"{prefix}_{name}", kind) for name, kind in columns)
    return f"unnest({arrays}) with ordinality as t ({names(columns)}, n)"


def declared(prefix: str, columns: Columns) -> str:
    """SQL that declares a variable `all_…` for each column of a group, split once.

    Their elements are taken by number; a statement that joins 25 arrays by `unnest` keeps 25 stores
    of rows.
    """
    return "\n    ".join(
        f"all_{name} {kind}[] := {array(f'{prefix}_{name}', kind)};" for name, kind in columns
    )


def names(columns: Columns) -> str:
    """The columns' names, to be listed in SQL."""
    return ", ".join(name for name, _ in columns)
