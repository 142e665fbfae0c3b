"""Usage as it is told to Stripe: meter events in, summaries and reports of errors out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StripeMeter:
    """What a metered price counts, and how its events are written."""

    id: str
    event_name: str
    customer_key: str
    """The payload's key that names the customer."""
    value_key: str
    formula: str
    is_active: bool


@dataclass(frozen=True, slots=True)
class MeterReport:
    """One meter event. Its identifier counts once, for a day at least."""

    identifier: str
    customer_id: str
    value: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class MeterError:
    """A meter event that Stripe took and then did not count."""

    identifier: str
    code: str
    message: str


class MeteringGateway(Protocol):
    """What is asked of Stripe about meters; errors and keys as with `StripeGateway`."""

    async def find_meter_of(self, price_id: str) -> StripeMeter | None:
        """The meter behind a metered price; None for a price that has none."""
        ...

    async def send(self, meter: StripeMeter, report: MeterReport) -> bool:
        """Tell of use; False if this identifier has been told before, which counts as told.

        Raises `StripeRefused` for what Stripe will not take. That it was taken does not mean
        that it counts: what is wrong with it may be found afterwards (`get_errors`).
        """
        ...

    async def total(
        self, meter: StripeMeter, customer_id: str, since: datetime, until: datetime
    ) -> Decimal:
        """What Stripe has added up of a customer's use, as far as it has come. Whole minutes."""
        ...

    async def get_errors(self, event_id: str) -> tuple[MeterError, ...]:
        """What a thin event about errors reports: a sample of the meter events concerned."""
        ...
