"""A disk that takes longer: a library, compiled here, that Postgres is started with."""

from __future__ import annotations

from pathlib import Path

from benchmarks.compiler import compiled

DELAY_US = 2_000

_SOURCE = Path(__file__).with_name("slow_fsync.c")


def compile_library(directory: Path) -> Path | None:
    """The library, in *directory*; `None` where there is no C compiler or it cannot do it."""
    return compiled(_SOURCE, directory / "slow_fsync.so", "-shared", "-fPIC", "-ldl")
