"""Large tables are as recording would have left them, and a slow disk is slow."""

import os
import subprocess
import sys
from uuid import uuid4

import asyncpg
import pytest

from app.infra.db.engine import asyncpg_arguments
from benchmarks import large
from benchmarks.postgres import Database
from benchmarks.reconcile import reconcile
from benchmarks.slow_fsync import DELAY_US, compile_library


async def test_what_is_filled_in_adds_up(fresh_url) -> None:
    one, few = uuid4(), [uuid4() for _ in range(3)]
    await large.fill(Database(fresh_url, 0, ""), [([one], 1_000), (few, 301)])
    connection = await asyncpg.connect(**asyncpg_arguments(fresh_url))
    try:
        stored = [
            (await reconcile(connection, {each: []}, exactly=False)).stored for each in (one, *few)
        ]
        start, end = large.span()
        outside = await connection.fetchval(
            "select count(*) from usage_events where occurred_at < $1 or occurred_at >= $2",
            start,
            end,
        )
        elsewhere = await connection.fetchval("select count(*) from usage_events_default")
    finally:
        await connection.close()
    assert stored[0] == 1_000
    assert sorted(stored[1:]) == [100, 100, 101]
    assert (outside, elsewhere) == (0, 0)


def test_only_half_of_the_disk_is_used(tmp_path) -> None:
    assert large.affordable(tmp_path, 10) == 10
    assert large.affordable(tmp_path, 10**15) < 10**12


_TIMED = """
import os, sys, time
with open(sys.argv[1], "wb") as file:
    started = time.perf_counter()
    for _ in range(10):
        os.fsync(file.fileno())
        os.fdatasync(file.fileno())
    print(time.perf_counter() - started)
"""


def test_a_slow_fsync_takes_longer(tmp_path) -> None:
    library = compile_library(tmp_path)
    if library is None:
        pytest.skip("no C compiler")
    environment = {**os.environ, "LD_PRELOAD": str(library), "SLOW_FSYNC_US": str(DELAY_US)}
    answer = subprocess.run(
        [sys.executable, "-c", _TIMED, str(tmp_path / "file")],
        env=environment,
        capture_output=True,
        check=True,
    )
    assert float(answer.stdout) >= 20 * DELAY_US / 1e6
