"""What the benchmark has in C: compiled when it starts, left out where there is no compiler."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def compiled(source: Path, target: Path, *options: str) -> Path | None:
    """*target*, made of *source*; `None` where there is no C compiler or it cannot do it."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    command = [compiler, "-O2", "-o", str(target), str(source), *options]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        return None
    target.chmod(0o755)
    return target
