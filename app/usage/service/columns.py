"""Columns of a flush as texts: what `ddl.columns` describes, written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SEPARATOR = "\x1f"
"""Hardly ever in a text; where it is, the flush takes another one."""


class Columns:
    """Collects columns as texts; `is_torn` when some text contains the separator."""

    def __init__(self, separator: str) -> None:
        self._separator = separator
        self.texts: list[str | None] = []
        self.is_torn = False

    def group(self, columns: Sequence[tuple[str, str]], *values: Sequence[Any]) -> None:
        """One text a column; a column of nothing is not sent."""
        for (_, kind), column in zip(columns, values, strict=True):
            missing = column.count(None)
            if missing == len(column):
                self.texts.append(None)
                continue
            if kind == "text":
                text = self._separator.join(
                    ["" if each is None else each for each in column] if missing else column
                )
                self.is_torn = self.is_torn or text.count(self._separator) >= len(column)
            elif missing:
                text = self._separator.join(["" if each is None else str(each) for each in column])
            else:
                text = self._separator.join(map(str, column))
            self.texts.append(text)

    def rows(self, columns: Sequence[tuple[str, str]], rows: Sequence[tuple[Any, ...]]) -> None:
        """The same from rows; none at all leaves every column out."""
        if len(rows) == 1:
            # Most groups of most flushes: one organization, one hour, one month.
            for (_, kind), value in zip(columns, rows[0], strict=True):
                text = None if value is None else str(value)
                self.texts.append(text)
                if kind == "text" and text is not None:
                    self.is_torn = self.is_torn or self._separator in text
        elif rows:
            self.group(columns, *zip(*rows, strict=True))
        else:
            self.texts += [None] * len(columns)
