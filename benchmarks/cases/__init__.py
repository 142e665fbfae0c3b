"""Everything that is measured, in the order in which a run measures it."""

from __future__ import annotations

from benchmarks.cases import (
    batches,
    closing,
    floors,
    large,
    mail_down,
    printing,
    quota,
    reads,
    reservations,
    singles,
    slow_disk,
    stripe_down,
    webhooks,
)
from benchmarks.measured import Case

CASES: tuple[Case, ...] = (
    *floors.CASES,
    *singles.CASES,
    *batches.CASES,
    *quota.CASES,
    *reservations.CASES,
    *reads.CASES,
    *webhooks.CASES,
    *stripe_down.CASES,
    *mail_down.CASES,
    *closing.CASES,
    *printing.CASES,
    *slow_disk.CASES,
    *large.CASES,
)
