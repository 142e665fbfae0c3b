"""The only place that reads the wall clock (architecture 8)."""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Says what time it is, as an aware UTC instant."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class ManualClock:
    """A clock that stands still until it is told to move; for tests and the sandbox."""

    def __init__(self, start: datetime) -> None:
        self.set(start)

    def now(self) -> datetime:
        return self._now

    def set(self, instant: datetime) -> None:
        if instant.tzinfo is None:
            raise ValueError("a clock is set to an aware instant")
        self._now = instant.astimezone(UTC)

    def advance(self, by: timedelta | None = None, **units: float) -> None:
        """Move forward by a timedelta or by its keywords: `clock.advance(days=31)`."""
        self._now += by if by is not None else timedelta(**units)
