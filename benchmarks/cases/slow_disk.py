"""The same with 2 ms added to every fsync: what is bound by commits shows here."""

from __future__ import annotations

from benchmarks.cases.floors import commit, rival
from benchmarks.cases.singles import single
from benchmarks.measured import Case

CASES = (
    Case("slow-commit", "slow fsync: one durable row, 1 connection", commit("slow"), stage="slow"),
    Case(
        "slow-single-64",
        "slow fsync: single event, 64 connections",
        single(64, 10_000, stage="slow"),
        stage="slow",
    ),
    Case(
        "slow-upsert",
        "slow fsync: rival: one CTE statement a request",
        rival("upsert", "upsert", 1_000, stage="slow"),
        stage="slow",
    ),
)
