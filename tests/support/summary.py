"""Figures of tests, said at the end of a run whichever process they ran in."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

SUMMARY = "summary"
"""A property of a test that is a line to say."""
HEARD = "interleavings"
"""A property of a test that counts the orders of events it has heard."""


def lines(reports: Iterable[pytest.TestReport]) -> list[str]:
    """What the tests of *reports* have to say, and how many interleavings they heard together."""
    properties = [each for report in reports for each in report.user_properties]
    said = [str(value) for name, value in properties if name == SUMMARY]
    heard = sum(int(str(value)) for name, value in properties if name == HEARD)
    return [*said, f"{heard:,} interleavings"] if heard else said
