"""Logs say what went wrong without saying secrets."""

import subprocess
import sys

import pytest

PROGRAM = """
import structlog
from app.infra.telemetry.logging import configure_logging
configure_logging("info", json={json})
def work(backwards):
    secret = backwards[::-1]
    raise ValueError(len(secret))
try:
    work("terces-ym")
except ValueError:
    structlog.get_logger("probe").warning("probe.failed", exc_info=True)
"""


@pytest.mark.parametrize("json", [True, False])
def test_a_traceback_shows_no_local_variables(json: bool) -> None:
    program = PROGRAM.format(json=json)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert "ValueError" in done.stderr
    assert "probe.failed" in done.stderr
    assert "my-secret" not in done.stderr
