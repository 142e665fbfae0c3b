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
# Two letters at a time: an id is in every answer, and letter by letter costs three times as much.
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_SHIFTS = range(120, -1, -10)


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
    return f"{prefix}_{''.join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])}"


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
