"""Worked examples from the documentation and the test suites of other billing products.

Each names its source. Where two of them contradict each other, ours is rule 6, and the test that
departs says so.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_suffix(".json")


def examples(section: str, *kinds: str) -> list[Any]:
    """The cases of *section*, of these *kinds* if any are given, floats read as decimals."""
    cases = json.loads(_FILE.read_text(), parse_float=Decimal)[section]
    return [case for case in cases if not kinds or case["kind"] in kinds]


def named(case: dict[str, Any]) -> str:
    return str(case["id"])
