"""Stripe's form encoding: `items[0][price]=x` and `expand[]=y` as nested values."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from app.sandbox.core.refusals import Refusal

Raw = str | dict[str, "Raw"]

_MOST_PAIRS = 1_000
_DEEPEST = 8


def decode(encoded: bytes) -> dict[str, Raw]:
    """Read a form body or a query string; whatever cannot be read is the caller's error."""
    try:
        text = encoded.decode("utf-8")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_PAIRS, errors="strict")
    except ValueError:
        raise Refusal("Invalid request: the parameters could not be decoded.") from None
    tree: dict[str, Raw] = {}
    for name, value in pairs:
        if "\x00" in name or "\x00" in value:
            raise Refusal("Invalid request: parameters may not contain null characters.")
        _place(tree, _steps(name), value, name)
    return tree


def _steps(name: str) -> list[str]:
    head, bracket, rest = name.partition("[")
    if not bracket:
        return [name]
    if not head or not rest.endswith("]"):
        raise Refusal(f"Invalid parameter name: {name[:80]}")
    steps = [head, *rest[:-1].split("][")]
    if len(steps) > _DEEPEST or any("[" in step or "]" in step for step in steps):
        raise Refusal(f"Invalid parameter name: {name[:80]}")
    return steps


def _place(tree: dict[str, Raw], steps: list[str], value: str, name: str) -> None:
    node = tree
    for step in steps[:-1]:
        # Stripe's `a[][b]=1&a[][c]=2` continues the last entry; the SDKs index instead.
        key = step or str(max(len(node) - 1, 0))
        child = node.setdefault(key, {})
        if not isinstance(child, dict):
            raise Refusal(f"Invalid parameter: {name[:80]} is given twice in different shapes.")
        node = child
    last = steps[-1] or str(len(node))
    if isinstance(node.get(last), dict):
        raise Refusal(f"Invalid parameter: {name[:80]} is given twice in different shapes.")
    node[last] = value


def as_entries(raw: Mapping[str, Raw]) -> list[Raw] | None:
    """The entries of an indexed value in order, or nothing if its keys are not indexes."""
    if not all(key.isascii() and key.isdigit() and len(key) < 6 for key in raw):
        return None
    return [raw[key] for key in sorted(raw, key=int)]


def from_json(value: Any) -> Raw:
    """JSON as the form it would have been, so that one reader checks both."""
    if isinstance(value, dict):
        return {str(key): from_json(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return {str(n): from_json(inner) for n, inner in enumerate(value)}
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
