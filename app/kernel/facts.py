"""What happened, said in the past tense, for whoever needs to react."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """Base of all facts: frozen, ids and amounts only, never a row.

    A fact announced in a unit of work becomes one job per subscriber in the same commit, so its
    fields must be what JSON can carry: str, int, bool, None, UUID, datetime, Decimal.
    """
