"""Plans that operators give: how they are billed, and when one of them was what counted. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from app.kernel.periods import Period


class GivenBilling(StrEnum):
    """Whether what was given is to be paid for."""

    INVOICE = "invoice"
    """On an invoice of our own."""
    FREE = "free"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which a given plan was what counted, above whatever was bought (decision 0915).

    At no instant of it is use told to Stripe: what the plan meters is ours to bill.
    """

    id: UUID
    plan: str
    catalog_version: UUID
    fee: GivenBilling
    usage: GivenBilling
    beneath: str
    """The plan that counts without it."""
    beneath_version: UUID | None
    since: datetime
    until: datetime | None
    """When it stopped counting; None while it counts."""
    ends_at: datetime
    """When it is to end. A review that comes late gives longer, and asks no fee for that."""

    @property
    def bills_anything(self) -> bool:
        return GivenBilling.INVOICE in (self.fee, self.usage)

    def used_in(self, window: Period) -> Period | None:
        """The part of *window* whose use is under this plan."""
        return _part(window, self.since, self.until)

    def paid_in(self, window: Period) -> Period | None:
        """The part of *window* for which a fee is due, as far as is known now."""
        end = self.ends_at if self.until is None else min(self.until, self.ends_at)
        # By the second: of two stretches that meet, neither loses one.
        return _part(window, self.since.replace(microsecond=0), end.replace(microsecond=0))


def without(whole: Period, taken: Iterable[Period]) -> list[Period]:
    """What of *whole* is left, oldest first."""
    left: list[Period] = []
    start = whole.start
    for each in sorted(taken, key=lambda one: one.start):
        if each.start > start:
            left.append(Period(start, min(each.start, whole.end)))
        start = max(start, each.end)
        if start >= whole.end:
            return left
    left.append(Period(start, whole.end))
    return left


def open_one(stretches: Sequence[Stretch]) -> Stretch | None:
    """The one that counts now."""
    return next((each for each in stretches if each.until is None), None)


def _part(window: Period, since: datetime, until: datetime | None) -> Period | None:
    start = max(window.start, since)
    end = window.end if until is None else min(window.end, until)
    return Period(start, end) if start < end else None
