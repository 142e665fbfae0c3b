"""What a person is, and what a password must be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from app.kernel.ids import UserId
from app.users.known_passwords import KNOWN_PASSWORDS

MINIMUM_PASSWORD_LENGTH = 12
MAXIMUM_PASSWORD_LENGTH = 200
MAXIMUM_EMAIL_LENGTH = 254

_LOCAL = r"[^\s@<>()\[\],;:\\\"\x00-\x1f\x7f]{1,64}"
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_EMAIL = re.compile(rf"{_LOCAL}@{_LABEL}(?:\.{_LABEL})+")
_PUNCTUATION = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Person:
    """Someone with an account."""

    id: UserId
    email: str
    name: str
    is_operator: bool
    is_suspended: bool
    email_verified_at: datetime | None
    created_at: datetime
    last_login_at: datetime | None


@dataclass(frozen=True, slots=True)
class VerifiedPassword:
    """Proof that a password fitted the hash that was read; `record_sign_in` redeems it."""

    person: Person
    seen_hash: str


class NotAnAddress(ValueError):
    """The text is not an e-mail address."""


def normalize_email(text: str) -> str:
    """The one spelling under which an address is kept. Raises `NotAnAddress`."""
    address = text.strip().lower()
    if len(address) > MAXIMUM_EMAIL_LENGTH or not _EMAIL.fullmatch(address):
        raise NotAnAddress("not an e-mail address")
    return address


def weakness_of(password: str, *, about: tuple[str, ...] = ()) -> str | None:
    """Why *password* is refused, or None. *about* is what a guesser knows of the person."""
    if len(password) < MINIMUM_PASSWORD_LENGTH:
        return f"it has fewer than {MINIMUM_PASSWORD_LENGTH} characters"
    if len(password) > MAXIMUM_PASSWORD_LENGTH:
        return f"it has more than {MAXIMUM_PASSWORD_LENGTH} characters"
    if len(set(password)) < 5:
        return "it repeats a few characters"
    lowered = password.lower()
    bare = _PUNCTUATION.sub("", lowered)
    if lowered in KNOWN_PASSWORDS or bare in KNOWN_PASSWORDS:
        return "it is one of the passwords that are tried first"
    if any(lowered == word.lower() for word in about if word):
        return "it is the name or address of its owner"
    return None
