"""Everything that is measured, in the order in which a run measures it."""

from __future__ import annotations

from benchmarks.cases import batches, floors, singles
from benchmarks.measured import Case

CASES: tuple[Case, ...] = (*floors.CASES, *singles.CASES, *batches.CASES)
