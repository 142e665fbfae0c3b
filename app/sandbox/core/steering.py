"""What a test does to deliveries: hold them, mix them up, send them twice, lose them."""

import json
import random
from typing import Any

from app.sandbox.core.params import Doc
from app.sandbox.core.sandbox import HELD, Sandbox

_WAITING = "state IN ('pending', 'held')"


class Steering:
    """Moves deliveries about; whoever sends them knows nothing of it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._store = sandbox.store

    def hold(self, types: list[str] | None) -> int:
        """Keep back what waits and what is to come, of all types or of some."""
        with self._store.transaction():
            self._store.set(HELD, json.dumps(types or ["*"]))
            return self._change("state = 'held'", {"types": types}, "state = 'pending'")

    def release(self) -> int:
        """Send what was kept back, and keep back no more."""
        with self._store.transaction():
            self._store.set(HELD, "[]")
            return self._store.run("UPDATE deliveries SET state = 'pending' WHERE state = 'held'")

    def shuffle(self, seed: int, *, backwards: bool) -> int:
        """Mix up what waits: by chance, the same for the same seed, or the last first."""
        with self._store.transaction():
            rows = self._store.rows(f"SELECT id FROM deliveries WHERE {_WAITING} ORDER BY id")
            ids = [row["id"] for row in rows]
            ranks = list(ids)
            if backwards:
                ranks.reverse()
            else:
                random.Random(seed).shuffle(ranks)  # noqa: S311 - repeatable on purpose
            for id, rank in zip(ids, ranks, strict=True):
                self._store.run("UPDATE deliveries SET rank = ? WHERE id = ?", rank, id)
        return len(ids)

    def duplicate(self, which: Doc, times: int) -> int:
        """Send again, *times* more often, what waits or what is named."""
        made = 0
        with self._store.transaction():
            for _ in range(times):
                made += self._insert(which)
        return made

    def _insert(self, which: Doc) -> int:
        where, values = self._where(which)
        waiting = "state != 'canceled'" if "event" in which else _WAITING
        return self._store.run(
            "INSERT INTO deliveries (event, endpoint, next_attempt_at, body, is_copy) "
            f"SELECT event, endpoint, ?, body, 1 FROM deliveries WHERE {waiting} "
            f"AND NOT is_copy AND {where}",
            self._sandbox.real_now(),
            *values,
        )

    def drop(self, which: Doc) -> int:
        """Lose what waits: it counts as given up after its last attempt."""
        with self._store.transaction():
            return self._change(
                "state = 'failed', last_error = 'lost on order', finished_at = next_attempt_at",
                which,
                _WAITING,
            )

    def delay(self, which: Doc, seconds: float) -> int:
        """Let what waits come later."""
        with self._store.transaction():
            later = self._sandbox.real_now() + seconds
            return self._change(f"next_attempt_at = {later!r}", which, _WAITING)

    def _change(self, what: str, which: Doc, those: str) -> int:
        where, values = self._where(which)
        return self._store.run(f"UPDATE deliveries SET {what} WHERE {those} AND {where}", *values)

    def _where(self, which: Doc) -> tuple[str, list[Any]]:
        """The deliveries that are meant: by event, by types, the first so many of them."""
        conditions, values = ["1 = 1"], []
        if which.get("event"):
            conditions.append("event = ?")
            values.append(which["event"])
        if which.get("types"):
            conditions.append(
                "event IN (SELECT id FROM objects WHERE json_extract(doc, '$.type') IN "
                "(SELECT value FROM json_each(?)))"
            )
            values.append(json.dumps(which["types"]))
        where = " AND ".join(conditions)
        if which.get("count"):
            where = (
                f"id IN (SELECT id FROM deliveries WHERE {_WAITING} AND {where} "
                "ORDER BY coalesce(rank, id) LIMIT ?)"
            )
            values.append(which["count"])
        return where, values
