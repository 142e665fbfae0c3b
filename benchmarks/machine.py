"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def facts(postgres_version: str) -> str:
    """One sentence about the machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{len(os.sched_getaffinity(0))} cores ({_processor()}), {memory:.0f} GiB, Linux "
        f"{platform.release()}, Python {platform.python_version()}, PostgreSQL {postgres_version}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
