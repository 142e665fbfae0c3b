"""What `serve` added to the environment, kept for a worker that is started beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

_NAME = "serve.json"


def remember_environment(data_dir: Path, added: Mapping[str, str]) -> None:
    """Write it where only this user reads it: it holds the signing secret."""
    draft = data_dir / f"{_NAME}.new"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(dict(added), file)
    draft.replace(data_dir / _NAME)


def forget_environment(data_dir: Path, added: Mapping[str, str]) -> None:
    """Remove it, unless the next `serve` has already written its own."""
    if remembered_environment(data_dir) == added:
        (data_dir / _NAME).unlink()


def remembered_environment(data_dir: Path) -> dict[str, str]:
    """Give what a running `serve` (or one that was killed) left; nothing if there is none."""
    try:
        kept: dict[str, str] = json.loads((data_dir / _NAME).read_text())
    except FileNotFoundError:
        return {}
    return kept
