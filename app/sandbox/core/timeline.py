"""What falls due, in order: a clock moves and things happen when they should."""

import logging
from collections.abc import Callable, Mapping

from app.sandbox.core.params import Doc
from app.sandbox.core.sandbox import CLOCK, Sandbox

Appointment = Callable[[Sandbox, Doc], None]
_log = logging.getLogger("sandbox.timeline")
_MOST_STEPS = 200_000


class Timeline:
    """Keeps the account's appointments, and those of every test clock that advances.

    Each is kept in its own unit and dated when it fell due, so that a year passed in one
    call leaves the same objects and events as a year that was waited for.
    """

    def __init__(self, sandbox: Sandbox, appointments: Mapping[str, Appointment]) -> None:
        self._sandbox = sandbox
        self._appointments = appointments

    def catch_up(self, to: int | None = None) -> int:
        """Do everything due by *to* (by now, if not said) and count it."""
        done = self._keep_until(self._sandbox.account_now() if to is None else to, "")
        for clock in self._sandbox.all(CLOCK, oldest_first=True, status="advancing"):
            done += self._arrive(
                clock["id"], clock["status_details"]["advancing"]["target_frozen_time"]
            )
        return done

    def advance(self, to: int, clock: str = "") -> int:
        """Move the account's time, or a test clock, ahead and do what falls due on the way."""
        if clock:
            return self._arrive(clock, to)
        done = self.catch_up(to)
        self._sandbox.move_to(to)
        return done

    def _arrive(self, clock: str, to: int) -> int:
        sandbox = self._sandbox
        done = self._keep_until(to, clock)
        with sandbox.unit():
            ready = sandbox.get(CLOCK, clock)
            ready.update(frozen_time=to, status="ready", status_details={})
            sandbox.save(ready)
            sandbox.emit("test_helpers.test_clock.ready", ready)
        return done

    def _keep_until(self, limit: int, clock: str) -> int:
        for step in range(_MOST_STEPS):
            row = self._sandbox.store.row(
                "SELECT kind, id, due FROM alarms WHERE clock = ? AND due <= ? "
                "ORDER BY due, kind, id LIMIT 1",
                clock,
                limit,
            )
            if row is None:
                return step
            self._keep(row["kind"], row["id"], row["due"], clock)
        raise RuntimeError("the timeline does not come to rest")

    def _keep(self, kind: str, id: str, due: int, clock: str) -> None:
        try:
            with self._sandbox.unit(), self._sandbox.at(due, clock):
                self._strike_out(kind, id)
                doc = self._sandbox.find(kind, id)
                if doc is not None:
                    self._appointments[kind](self._sandbox, doc)
        except Exception:  # noqa: BLE001
            # One broken appointment must not stop the clock for everything after it.
            _log.exception("timeline.appointment_failed %s %s", kind, id)
            self._strike_out(kind, id)

    def _strike_out(self, kind: str, id: str) -> None:
        self._sandbox.store.run("DELETE FROM alarms WHERE kind = ? AND id = ?", kind, id)
