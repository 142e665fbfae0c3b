"""A disk that takes longer: a library, compiled here, that Postgres is started with."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

DELAY_US = 2_000

_SOURCE = Path(__file__).with_name("slow_fsync.c")


def compile_library(directory: Path) -> Path | None:
    """The library, in *directory*; `None` where there is no C compiler or it cannot do it."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    library = directory / "slow_fsync.so"
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        return None
    library.chmod(0o755)
    return library
