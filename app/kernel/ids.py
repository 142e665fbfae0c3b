"""Names for rows: UUIDv7 inside, a readable prefix outside (`inv_01h455vb4pex5vsknk084sn02q`)."""

from datetime import datetime
from typing import NewType
from uuid import UUID

import uuid_utils
from uuid_utils.compat import uuid7

UserId = NewType("UserId", UUID)
OrganizationId = NewType("OrganizationId", UUID)

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_LENGTH = 26
# An id is in every answer: three letters at a time, and of small numbers, it costs a sixth of what
# it does letter by letter.
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_TRIPLES = [pair + third for pair in _PAIRS for third in _ALPHABET]
_LOW_70 = (1 << 70) - 1


class MalformedId(ValueError):
    """The text is not an id of the expected kind."""


def new_id() -> UUID:
    """A fresh UUIDv7: unique, and later ones sort after earlier ones, so indexes stay warm."""
    return uuid7()


def id_at(instant: datetime) -> UUID:
    """A fresh UUIDv7 that sorts among the ids made at *instant*, for what was created elsewhere."""
    nanoseconds = int(instant.timestamp() * 1000) * 1_000_000
    return UUID(int=uuid_utils.uuid7(nanoseconds=nanoseconds).int)


def encode_id(prefix: str, value: UUID) -> str:
    """The id as the API shows it: prefix, underscore, 26 letters of Crockford's base 32."""
    return encode_number(prefix, value.int)


def encode_number(prefix: str, number: int) -> str:
    """As `encode_id`, from the id's 128 bits."""
    high, low = number >> 70, number & _LOW_70
    return (
        f"{prefix}_{_TRIPLES[high >> 45]}{_TRIPLES[high >> 30 & 32767]}"
        f"{_TRIPLES[high >> 15 & 32767]}{_TRIPLES[high & 32767]}"
        f"{_TRIPLES[low >> 55]}{_TRIPLES[low >> 40 & 32767]}"
        f"{_TRIPLES[low >> 25 & 32767]}{_TRIPLES[low >> 10 & 32767]}{_PAIRS[low & 1023]}"
    )


def decode_id(prefix: str, text: str) -> UUID:
    """Read what `encode_id` wrote. Raises `MalformedId` for another kind or for garbage."""
    head, _, tail = text.rpartition("_")
    if head != prefix or len(tail) != _LENGTH or tail[0] > "7":
        raise MalformedId(f"not an id that starts with {prefix}_")
    number = 0
    for letter in tail:
        value = _VALUES.get(letter)
        if value is None:
            raise MalformedId(f"not an id that starts with {prefix}_")
        number = number << 5 | value
    return UUID(int=number)
