"""What a process starts and stops, in order, and whether it is ready meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

Step = Callable[[], Awaitable[None]]


class Lifecycle:
    """Steps run in the order they were added and are undone in reverse.

    `parts` says what each outside part is (`real`, `embedded`, `sandbox`, `off`), for `/health`.
    """

    def __init__(self, environment: str) -> None:
        self.environment = environment
        self.parts: dict[str, str] = {}
        self.state = "starting"
        self._steps: list[tuple[Step, Step]] = []
        self._started: list[Step] = []

    def add(self, start: Step, stop: Step) -> None:
        self._steps.append((start, stop))

    @property
    def is_ready(self) -> bool:
        return self.state == "ready"

    async def start(self) -> None:
        """Run all steps; if one fails, undo those before it and raise."""
        try:
            for start, stop in self._steps:
                await start()
                self._started.append(stop)
        except BaseException:
            await self.stop()
            raise
        self.state = "ready"

    async def stop(self) -> None:
        """Undo every step that ran, last first, even if one of them fails."""
        self.state = "draining"
        failures: list[Exception] = []
        while self._started:
            stop = self._started.pop()
            try:
                await stop()
            except Exception as error:  # noqa: BLE001 - the rest must still stop
                failures.append(error)
        if failures:
            raise ExceptionGroup("stopping", failures)
