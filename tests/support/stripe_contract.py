"""What Stripe accepts and answers, taken from others: the SDK's types and Stripe's own spec.

`param_problems` holds a request against the SDK's TypedDict for the pinned API version, nested
keys and literals included. `response_problems` holds an object against Stripe's published
schema, where the spec is at hand.
"""

import importlib
import json
import os
import types
import typing
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import jsonschema
import stripe
import typing_extensions
from stripe._request_options import RequestOptions
from stripe._stripe_context import StripeContext
from stripe._stripe_object import UntypedStripeObject

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("SHARED_DIR", ROOT.parent / "shared"))
SPEC = SHARED / "data/stripe/stripe-openapi.billing-subset.2026-05-27.dahlia.json"
_REQUEST_OPTIONS = frozenset(RequestOptions.__annotations__)


@cache
def typed_dict(name: str) -> type:
    """The SDK's parameters by name: `SubscriptionUpdateParams`, `checkout.SessionCreateParams`."""
    module, _, last = name.rpartition(".")
    found: type = getattr(
        importlib.import_module(f"stripe.params.{module}" if module else "stripe.params"), last
    )
    return found


@cache
def keys(of: type) -> dict[str, Any]:
    """The keys of a TypedDict with their types, without the SDK's own request options."""
    names = {**vars(importlib.import_module(of.__module__)), "StripeContext": StripeContext}
    names |= {"UntypedStripeObject": UntypedStripeObject, "Decimal": Decimal, "stripe": stripe}
    names |= {"Mapping": Mapping}
    hints = typing_extensions.get_type_hints(of, names, include_extras=True)
    return {key: hint for key, hint in hints.items() if key not in _REQUEST_OPTIONS}


def is_required(hint: Any) -> bool:
    return get_origin(hint) not in (typing_extensions.NotRequired, typing.NotRequired)


def options(hint: Any) -> list[Any]:
    """The types a hint allows, one by one.

    The SDK writes enums as `Literal["a", "b"] | str` so that callers' code type-checks with
    values of tomorrow; the API takes only the literals, and so does this.
    """
    if get_origin(hint) in (typing_extensions.NotRequired, typing.NotRequired):
        return options(get_args(hint)[0])
    if get_origin(hint) in (typing.Union, types.UnionType):
        flat = [one for arg in get_args(hint) for one in options(arg)]
        enum = any(get_origin(one) is Literal and any(get_args(one)) for one in flat)
        return [one for one in flat if not (enum and one is str)]
    return [hint]


def literals(hint: Any) -> set[str] | None:
    """The words of an enum, or nothing if any text will do."""
    found = options(hint)
    if str in found:
        return None
    return {word for one in found if get_origin(one) is Literal for word in get_args(one)}


def nested(hint: Any) -> type | None:
    """The TypedDict a hint allows, if it allows one."""
    return next((one for one in options(hint) if typing_extensions.is_typeddict(one)), None)


def entry(hint: Any) -> Any:
    """The type of a list's entries, if a hint allows a list."""
    lists = [one for one in options(hint) if get_origin(one) is list]
    return get_args(lists[0])[0] if lists else None


def param_problems(name: str, params: Mapping[str, Any]) -> list[str]:
    """What Stripe would refuse in a request, as one line each."""
    return _of_dict(params, typed_dict(name), "")


def _of_dict(sent: Mapping[str, Any], of: type, at: str) -> list[str]:
    known = keys(of)
    found = [f"unknown parameter {at}{key}" for key in sent if key not in known]
    found += [
        f"missing parameter {at}{key}"
        for key, hint in known.items()
        if is_required(hint) and key not in sent
    ]
    for key, value in sent.items():
        if key in known:
            found += _of_value(value, known[key], f"{at}{key}")
    return found


def _of_value(value: Any, hint: Any, at: str) -> list[str]:
    attempts = [_of_option(value, one, at) for one in options(hint)]
    return min(attempts, key=len) if all(attempts) else []


def _of_option(value: Any, option: Any, at: str) -> list[str]:
    origin = get_origin(option)
    if origin is Literal:
        return [] if value in get_args(option) else [f"{at}={value!r} is not one of the enum"]
    if typing_extensions.is_typeddict(option):
        if isinstance(value, Mapping):
            return _of_dict(value, option, f"{at}.")
        return [f"{at} must be a hash"]
    if origin is list:
        if not isinstance(value, list):
            return [f"{at} must be a list"]
        inner = get_args(option)[0]
        return [p for n, one in enumerate(value) for p in _of_value(one, inner, f"{at}[{n}]")]
    if origin is dict or origin is UntypedStripeObject:
        return [] if isinstance(value, Mapping) else [f"{at} must be a hash"]
    allowed = {float: (int, float), Decimal: (Decimal, int, str)}.get(option, option)
    fits = isinstance(value, allowed) and (option is bool) == isinstance(value, bool)
    return [] if fits else [f"{at}={value!r} is not {option.__name__}"]


@cache
def _schemas() -> dict[str, Any]:
    spec = json.loads(SPEC.read_text())
    return {"components": {"schemas": _with_nulls(spec["components"]["schemas"])}}


def _with_nulls(node: Any) -> Any:
    """OpenAPI's `nullable` in the words of JSON Schema."""
    if isinstance(node, list):
        return [_with_nulls(one) for one in node]
    if not isinstance(node, dict):
        return node
    rewritten = {key: _with_nulls(value) for key, value in node.items() if key != "nullable"}
    if node.get("nullable") is True:
        return {"anyOf": [rewritten, {"enum": [None]}]}
    return rewritten


@cache
def _validator(kind: str) -> Any:
    reference = {"$ref": f"#/components/schemas/{kind}"}
    return jsonschema.Draft4Validator({**_schemas(), **reference} | {"allOf": [reference]})


def response_problems(doc: Mapping[str, Any]) -> list[str]:
    """Where an object differs from Stripe's schema of it; lists are checked entry by entry."""
    if doc["object"] == "list":
        return [problem for one in doc["data"] for problem in response_problems(one)]
    found = _validator(doc["object"]).iter_errors(dict(doc))
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in found]
