"""Traces of LLM calls: read from CSV files, or drawn from published distributions."""

from __future__ import annotations

import csv
import hashlib
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Call:
    """One LLM call. `offset` is its time after the first call of its trace."""

    key: str
    offset: timedelta
    provider: str
    model: str
    tokens_in: int
    tokens_out: int


@dataclass(frozen=True, slots=True)
class Workload:
    """A kind of traffic and the model that the demo pretends serves it."""

    name: str
    provider: str
    model: str
    input_price: Decimal
    output_price: Decimal
    median_in: int
    median_out: int

    def cost(self, call: Call) -> Decimal:
        """The exact cost of *call*, worked out here so that the service's can be checked."""
        return (call.tokens_in * self.input_price + call.tokens_out * self.output_price) / _MILLION


# Medians of prompt and output tokens as published for Azure's two production services in 2023:
# Patel et al., "Splitwise: Efficient Generative LLM Inference Using Phase Splitting", ISCA 2024,
# section 3. Prices are those of the service's seeded price book, USD per million tokens.
CODE = Workload("code", "anthropic", "claude-sonnet-4", Decimal(3), Decimal(15), 1500, 13)
CONVERSATION = Workload("conv", "openai", "gpt-4o", Decimal("2.5"), Decimal(10), 1020, 129)
WORKLOADS = {workload.model: workload for workload in (CODE, CONVERSATION)}

_SPREAD = 0.9
_LONGEST = 8000
_SECONDS_BETWEEN_CALLS = 2.0


def name_of(calls: list[Call]) -> str:
    """A short name that the same calls always have."""
    digest = hashlib.sha256()
    for call in calls:
        digest.update(f"{call.key} {call.tokens_in} {call.tokens_out}\n".encode())
    return digest.hexdigest()[:12]


def exact_cost(calls: list[Call]) -> Decimal:
    return sum((WORKLOADS[call.model].cost(call) for call in calls), Decimal(0))


def synthetic(count: int, seed: int = 2026) -> list[Call]:
    """*count* calls, half code and half conversation; the same seed gives the same calls."""
    draw = random.Random(seed)  # noqa: S311 - a demo, not a secret
    calls = []
    at = 0.0
    for number in range(count):
        workload = CODE if number % 2 else CONVERSATION
        at += draw.expovariate(1 / _SECONDS_BETWEEN_CALLS)
        calls.append(
            Call(
                key=f"synthetic-{seed}-{number}",
                offset=timedelta(seconds=round(at, 3)),
                provider=workload.provider,
                model=workload.model,
                tokens_in=_length(draw, workload.median_in),
                tokens_out=_length(draw, workload.median_out),
            )
        )
    return calls


def _length(draw: random.Random, median: int) -> int:
    return max(1, min(_LONGEST, round(draw.lognormvariate(math.log(median), _SPREAD))))


def read_files(paths: list[Path]) -> list[Call]:
    """The calls of CSV files with TIMESTAMP, ContextTokens and GeneratedTokens columns.

    The format of Azure's public LLM inference traces. A file with `code` in its name is billed
    as code, any other as conversation.
    """
    calls: list[Call] = []
    for path in paths:
        workload = CODE if "code" in path.stem.lower() else CONVERSATION
        calls.extend(_read_file(path, workload))
    return calls


def _read_file(path: Path, workload: Workload) -> Iterator[Call]:
    with path.open(newline="") as handle:
        first: datetime | None = None
        for number, row in enumerate(csv.DictReader(handle)):
            # The files carry seven decimals of a second; Python reads six.
            at = datetime.fromisoformat(row["TIMESTAMP"].strip()[:26]).replace(tzinfo=UTC)
            first = first or at
            yield Call(
                key=f"{path.stem}-{number}",
                offset=at - first,
                provider=workload.provider,
                model=workload.model,
                tokens_in=int(row["ContextTokens"]),
                tokens_out=int(row["GeneratedTokens"]),
            )
