"""What the figures should be: ratios of one run, and a few costs that hold on any machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.measured import Sample

Medians = Mapping[str, Sample]


@dataclass(frozen=True)
class Target:
    """A measure, what it should be, and how it is worked out of the medians."""

    measure: str
    goal: float
    value: Callable[[Medians], float]
    at_most: bool = False
    unit: str = "×"

    def is_reached(self, found: Medians) -> bool | None:
        """`None` where a case that it needs was not measured."""
        try:
            value = self.value(found)
        except (KeyError, ZeroDivisionError):
            return None
        return value <= self.goal if self.at_most else value >= self.goal

    def verdict(self, found: Medians) -> tuple[str, str]:
        """The figure, and what to say of it."""
        reached = self.is_reached(found)
        if reached is None:
            return "–", "not measured"
        return self.shown(self.value(found)), "reached" if reached else "**not reached**"

    @property
    def wanted(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.shown(self.goal)}"

    def shown(self, value: float) -> str:
        if self.unit == "%":
            return f"{value * 100:.0f} %"
        if self.unit == "×":
            return f"{value:.3g} ×" if value < 10 else f"{value:,.0f} ×"
        if self.unit == "ms":
            return f"{value:.3g} ms"
        return f"{value:,.0f}{self.unit}"


def _rates(ours: str, theirs: str) -> Callable[[Medians], float]:
    return lambda found: found[ours].rate / found[theirs].rate


def _auth_share(how: str) -> Callable[[Medians], float]:
    return lambda found: found["single-64-open"].facts[f"{how}_share"]


TARGETS = (
    Target(
        "single events, 64 connections, against the naive rival", 40, _rates("single-64", "naive")
    ),
    Target(
        "their p99 against that of the statement alone",
        25,
        lambda found: found["single-64"].p99_ms / found["raw-1"].p99_ms,
        at_most=True,
    ),
    Target("authentication's share of their CPU, token", 0.10, _auth_share("token"), True, "%"),
    Target(
        "authentication's share of their CPU, API key",
        0.10,
        _auth_share("key"),
        True,
        "%",
    ),
    Target(
        "CPU of a single event, app + Postgres",
        0.16,
        lambda found: found["single-64"].cpu_ms,
        at_most=True,
        unit="ms",
    ),
    Target(
        "batches of 100 against the two-process limit",
        0.45,
        _rates("batch-100", "raw-1000-two"),
        unit="%",
    ),
    Target(
        "batches of 1,000 against the two-process limit",
        0.55,
        _rates("batch-1000", "raw-1000-two"),
        unit="%",
    ),
    Target(
        "CPU of an event in a batch of 100",
        0.03,
        lambda found: found["batch-100"].cpu_ms,
        at_most=True,
        unit="ms",
    ),
    Target("one hot organization against 1,000", 0.8, _rates("single-64", "single-64-many")),
    Target(
        "with 2 ms more for every fsync, against the fast rate",
        0.5,
        _rates("slow-single-64", "single-64"),
        unit="%",
    ),
    Target("there, against one upsert a request", 6, _rates("slow-single-64", "slow-upsert")),
    Target(
        "check and hold, the coalesced statement, against Redis with Lua by redis-py",
        2,
        _rates("reserve-alone", "consume-redis"),
    ),
    Target(
        "check, consume and record, the coalesced statement, against the same",
        2,
        _rates("consume-alone", "consume-redis"),
    ),
    Target(
        "check and hold, against Redis with Lua by bare sockets",
        2,
        _rates("reserve-alone", "consume-redis-bare"),
    ),
    Target(
        "check, consume and record, against the same",
        2,
        _rates("consume-alone", "consume-redis-bare"),
    ),
    Target(
        "over HTTP, against SELECT … FOR UPDATE a request",
        5,
        _rates("consume-http", "consume-locked"),
    ),
    Target(
        "events granted beyond the limit",
        0,
        lambda found: max(
            found[name].facts["overshoot"]
            for name in ("consume-direct", "consume-alone", "consume-http")
        ),
        at_most=True,
        unit="",
    ),
    Target(
        "reserve + commit pairs",
        1_000,
        lambda found: found["reserve-commit"].rate,
        unit=" a second",
    ),
    Target(
        "pairs granted beyond the limit",
        0,
        lambda found: max(
            found[name].facts["overshoot"]
            for name in ("reserve-direct", "reserve-alone", "reserve-commit")
        ),
        at_most=True,
        unit="",
    ),
    Target(
        "CPU of a read of the subscription",
        0.4,
        lambda found: found["read-subscription"].cpu_ms,
        at_most=True,
        unit="ms",
    ),
    Target(
        "CPU of a read of the quota",
        0.4,
        lambda found: found["read-quota"].cpu_ms,
        at_most=True,
        unit="ms",
    ),
    Target(
        "reads of the subscription against an ORM's", 3, _rates("read-subscription", "read-orm")
    ),
    Target("reads of the quota against an ORM's", 3, _rates("read-quota", "read-orm")),
    Target(
        "CPU of a Stripe event of 3.9 kB, app + Postgres",
        0.35,
        lambda found: found["webhook"].cpu_ms,
        at_most=True,
        unit="ms",
    ),
    Target(
        "Stripe events against construct_event and an ORM", 8, _rates("webhook", "webhook-rival")
    ),
    Target(
        "single events while Stripe hangs against while it answers",
        0.8,
        _rates("stripe-down", "stripe-up"),
    ),
    Target(
        "single events while mails hang against while they go out",
        0.8,
        _rates("mail-down", "mail-up"),
    ),
    Target(
        "p99 of a page's reads while mails hang against while they go out",
        1.25,
        lambda found: found["mail-calls-down"].p99_ms / found["mail-calls-up"].p99_ms,
        at_most=True,
    ),
    Target(
        "CPU of a PDF of two pages",
        50,
        lambda found: found["pdf-two-pages"].cpu_ms,
        at_most=True,
        unit="ms",
    ),
    Target(
        "p99 of the event loop's delay while PDFs are printed on the same core",
        25,
        lambda found: found["pdf-two-pages"].facts["loop_p99_ms"],
        at_most=True,
        unit="ms",
    ),
    Target(
        "p99 of reads while 4 clients log in",
        50,
        lambda found: found["read-logins"].p99_ms,
        at_most=True,
        unit="ms",
    ),
    Target(
        "summary over 10 million events against 100 thousand",
        2,
        lambda found: found["summary-large"].p50_ms / found["summary-small"].p50_ms,
        at_most=True,
    ),
    Target(
        "batches of 100 at 20 million stored events against 1 million",
        0.8,
        _rates("ingest-many-100", "ingest-few-100"),
    ),
    Target(
        "batches of 1,000 there",
        0.8,
        _rates("ingest-many-1000", "ingest-few-1000"),
    ),
    Target(
        "lone request against a durable row plus a hello",
        1.5,
        lambda found: found["single-1"].p50_ms / (found["commit"].p50_ms + found["hello-1"].p50_ms),
        at_most=True,
    ),
)
