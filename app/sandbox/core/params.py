"""What a call accepts, declared; and how each value is read from its form."""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from app.sandbox.core.forms import Raw, as_entries
from app.sandbox.core.refusals import Refusal, invalid, required, unknown

Doc = dict[str, Any]
CLEARED = ""
"""What Stripe's clients send to unset a value."""


class Spec(Protocol):
    """One kind of value."""

    def read(self, raw: Raw, at: str) -> Any: ...


def _text(raw: Raw, at: str) -> str:
    if not isinstance(raw, str):
        raise invalid(f"Invalid string: {at} must be a string", at)
    return raw


def _empty(at: str) -> Refusal:
    return invalid(
        f"You passed an empty string for '{at}'. We assume empty values are an attempt to "
        f"unset a parameter; however '{at}' cannot be unset. You should remove '{at}' from "
        "your request or supply a non-empty value.",
        at,
        "parameter_invalid_empty",
    )


@dataclass(frozen=True)
class Text:
    clears: bool = False
    most: int = 5_000

    def read(self, raw: Raw, at: str) -> str:
        text = _text(raw, at)
        if not text and not self.clears:
            raise _empty(at)
        if len(text) > self.most:
            raise invalid(f"Invalid string: {at} must be at most {self.most} characters", at)
        return text


@dataclass(frozen=True)
class Url:
    def read(self, raw: Raw, at: str) -> str:
        text = _text(raw, at)
        if not re.match(r"https?://[^\s/]+\S*\Z", text) or len(text) > 5_000:
            raise invalid("Not a valid URL", at, "url_invalid")
        return text


@dataclass(frozen=True)
class Choice:
    options: tuple[str, ...]
    clears: bool = False

    def read(self, raw: Raw, at: str) -> str:
        text = _text(raw, at)
        if not text and self.clears:
            return CLEARED
        if text not in self.options:
            raise invalid(f"Invalid {at}: must be one of {', '.join(self.options)}", at)
        return text


def one_of(*options: str, clears: bool = False) -> Choice:
    return Choice(options, clears)


@dataclass(frozen=True)
class Whole:
    """An integer, or one of the *words* Stripe takes in its place."""

    least: int = 0
    most: int = 10**12
    words: tuple[str, ...] = ()
    clears: bool = False

    def read(self, raw: Raw, at: str) -> int | str:
        text = _text(raw, at)
        if text in self.words or (self.clears and not text):
            return text
        if not re.fullmatch(r"-?[0-9]{1,15}", text):
            raise invalid(f"Invalid integer: {text[:80]}", at, "parameter_invalid_integer")
        number = int(text)
        if not self.least <= number <= self.most:
            raise invalid(f"This value must be between {self.least} and {self.most}.", at)
        return number


def instant(*words: str, clears: bool = False) -> Whole:
    """A Unix timestamp; far enough from the edges that calendars can hold it."""
    return Whole(words=words, clears=clears, most=32_503_680_000)


@dataclass(frozen=True)
class Number:
    """A decimal, kept as text so that nothing is rounded on the way in."""

    most: float = 10**12

    def read(self, raw: Raw, at: str) -> str:
        text = _text(raw, at)
        if not re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,12})?", text) or float(text) > self.most:
            raise invalid(f"Invalid decimal: {text[:80]}", at)
        return text


@dataclass(frozen=True)
class Flag:
    def read(self, raw: Raw, at: str) -> bool:
        text = _text(raw, at).lower()
        if text not in ("true", "false"):
            raise invalid(f"Invalid boolean: {text[:80]}", at)
        return text == "true"


@dataclass(frozen=True)
class Metadata:
    """Up to fifty short pairs; an empty value removes a pair, an empty whole all of them."""

    def read(self, raw: Raw, at: str) -> dict[str, str] | str:
        if raw == CLEARED:
            return CLEARED
        if not isinstance(raw, dict):
            raise invalid("Invalid hash: metadata must be a hash", at)
        pairs: dict[str, str] = {}
        for key, value in raw.items():
            if not isinstance(value, str) or len(key) > 40 or len(value) > 500:
                raise invalid(
                    "Metadata keys are up to 40 and values up to 500 characters of text.", at
                )
            pairs[key] = value
        if len(pairs) > 50:
            raise invalid("Metadata can have up to 50 keys.", at)
        return pairs


@dataclass(frozen=True)
class Pairs:
    """A map of text to text whose keys the caller chooses."""

    def read(self, raw: Raw, at: str) -> dict[str, str]:
        if not isinstance(raw, dict):
            raise invalid("Invalid object", at)
        return {key: Text(most=100).read(value, f"{at}[{key}]") for key, value in raw.items()}


@dataclass(frozen=True)
class Moment:
    """An instant as RFC 3339 has it, kept as a Unix timestamp."""

    def read(self, raw: Raw, at: str) -> int:
        text = _text(raw, at)
        with contextlib.suppress(ValueError, OverflowError):
            read = datetime.fromisoformat(text)
            if read.tzinfo is not None:
                return int(read.timestamp())
        raise invalid(f"Invalid timestamp: {text[:80]}", at)


@dataclass(frozen=True)
class Many:
    entry: Spec
    most: int = 100
    clears: bool = False

    def read(self, raw: Raw, at: str) -> list[Any] | str:
        if raw == CLEARED and self.clears:
            return CLEARED
        entries = as_entries(raw) if isinstance(raw, dict) else None
        if entries is None:
            raise invalid("Invalid array", at)
        if len(entries) > self.most:
            raise invalid(f"Array {at} may hold at most {self.most} entries", at)
        return [self.entry.read(one, f"{at}[{n}]") for n, one in enumerate(entries)]


@dataclass(frozen=True)
class Fields:
    """A hash with known keys; anything else in it is refused by name."""

    known: Mapping[str, Spec]
    needs: tuple[str, ...] = ()
    clears: bool = False
    refused: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Keys Stripe took back, with the code and the sentence it answers them with."""

    def read(self, raw: Raw, at: str) -> Doc | str:
        if raw == CLEARED and self.clears:
            return CLEARED
        if not isinstance(raw, dict):
            raise invalid("Invalid object", at or None)
        values: Doc = {}
        for key, value in raw.items():
            name = f"{at}[{key}]" if at else key
            if key in self.refused:
                code, sentence = self.refused[key]
                raise Refusal(sentence, code=code, param=name)
            if key not in self.known:
                raise unknown(name)
            values[key] = self.known[key].read(value, name)
        for key in self.needs:
            if key not in values:
                raise required(f"{at}[{key}]" if at else key)
        return values


@dataclass(frozen=True)
class Range:
    """An instant, or bounds around it: `created[gte]=…`."""

    def read(self, raw: Raw, at: str) -> Doc:
        if isinstance(raw, str):
            exact = instant().read(raw, at)
            return {"gte": exact, "lte": exact}
        bounds = Fields({key: instant() for key in ("gt", "gte", "lt", "lte")}).read(raw, at)
        assert isinstance(bounds, dict)
        return bounds


NOTHING = Fields({})


def listing(**known: Spec) -> Fields:
    """What every list call takes, and its own filters."""
    return Fields(
        {
            "limit": Whole(least=1, most=100),
            "starting_after": Text(),
            "ending_before": Text(),
            **known,
        }
    )


def merged(current: dict[str, str], change: dict[str, str] | str | None) -> dict[str, str]:
    """Metadata after a change: new pairs win, empty values go."""
    if change is None:
        return current
    if isinstance(change, str):
        return {}
    return {key: value for key, value in {**current, **change}.items() if value}


def given(params: Doc, *keys: str) -> Doc:
    """Those of *keys* that were sent; a cleared one is null."""
    return {key: params[key] if params[key] != CLEARED else None for key in keys if key in params}
