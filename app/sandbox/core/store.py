"""Where a sandbox keeps its account: JSON documents and a few queues in one SQLite file."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL, id TEXT NOT NULL, created INTEGER NOT NULL, doc TEXT NOT NULL,
  UNIQUE (kind, id));
CREATE INDEX IF NOT EXISTS objects_in_order ON objects (kind, seq);
CREATE INDEX IF NOT EXISTS objects_by_id ON objects (id);
CREATE INDEX IF NOT EXISTS objects_by_customer ON objects (kind, json_extract(doc, '$.customer'));
CREATE INDEX IF NOT EXISTS objects_by_invoice ON objects (kind, json_extract(doc, '$.invoice'));
CREATE TABLE IF NOT EXISTS alarms (
  kind TEXT NOT NULL, id TEXT NOT NULL, due INTEGER NOT NULL, clock TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS deliveries (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  event TEXT NOT NULL, endpoint TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'pending',
  attempts INTEGER NOT NULL DEFAULT 0, next_attempt_at REAL NOT NULL,
  last_status INTEGER, last_error TEXT, finished_at REAL,
  rank INTEGER, body TEXT, is_copy INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (state, next_attempt_at);
CREATE INDEX IF NOT EXISTS deliveries_by_event ON deliveries (event);
CREATE TABLE IF NOT EXISTS replies (
  key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL,
  at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS meter_events (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  event_name TEXT NOT NULL, identifier TEXT NOT NULL, customer TEXT, value TEXT NOT NULL,
  at INTEGER NOT NULL, received_at INTEGER NOT NULL, state TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS meter_events_of_customer ON meter_events (event_name, customer, at);
CREATE INDEX IF NOT EXISTS meter_events_by_identifier ON meter_events (identifier);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_UPGRADES = (
    # What files of earlier versions lack: the column, how it is made, what else it needs.
    ("alarms", "clock", "ALTER TABLE alarms ADD COLUMN clock TEXT NOT NULL DEFAULT ''"),
    ("deliveries", "rank", "ALTER TABLE deliveries ADD COLUMN rank INTEGER"),
    ("deliveries", "body", "ALTER TABLE deliveries ADD COLUMN body TEXT"),
    (
        "deliveries",
        "is_copy",
        "ALTER TABLE deliveries ADD COLUMN is_copy INTEGER NOT NULL DEFAULT 0",
    ),
)
_AFTERWARDS = """
DROP INDEX IF EXISTS alarms_by_due;
CREATE INDEX IF NOT EXISTS alarms_by_clock ON alarms (clock, due);
"""
_TABLES = ("objects", "alarms", "deliveries", "replies", "meter_events", "settings")


class Store:
    """One SQLite connection, used by one event loop, one transaction at a time."""

    def __init__(self, path: str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        # WAL with NORMAL loses nothing when the process is killed; only a power cut could,
        # and a sandbox does not promise to outlive one.
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        for table, column, make in _UPGRADES:
            if column not in {row["name"] for row in self.rows(f"PRAGMA table_info({table})")}:
                self._db.execute(make)
        self._db.executescript(_AFTERWARDS)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is kept, or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def run(self, sql: str, *values: Any) -> int:
        """Change rows and say how many."""
        return self._db.execute(sql, values).rowcount

    def row(self, sql: str, *values: Any) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._db.execute(sql, values).fetchone()
        return row

    def rows(self, sql: str, values: Iterable[Any] = ()) -> list[sqlite3.Row]:
        return self._db.execute(sql, tuple(values)).fetchall()

    def clear(self) -> None:
        """Forget the whole account."""
        with self.transaction():
            for table in _TABLES:
                self._db.execute(f"DELETE FROM {table}")

    # Documents ---------------------------------------------------------------------------

    def read(self, kind: str, id: str) -> str | None:
        row = self.row("SELECT doc FROM objects WHERE kind = ? AND id = ?", kind, id)
        return None if row is None else str(row["doc"])

    def kinds_of(self, id: str) -> list[str]:
        return [row["kind"] for row in self.rows("SELECT kind FROM objects WHERE id = ?", (id,))]

    def write(self, kind: str, id: str, created: int, doc: str) -> None:
        self.run(
            "INSERT INTO objects (kind, id, created, doc) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (kind, id) DO UPDATE SET doc = excluded.doc",
            kind,
            id,
            created,
            doc,
        )

    def position(self, kind: str, id: str) -> int | None:
        row = self.row("SELECT seq FROM objects WHERE kind = ? AND id = ?", kind, id)
        return None if row is None else int(row["seq"])

    def select(
        self,
        kind: str,
        conditions: Sequence[tuple[str, Any]] = (),
        *,
        newest_first: bool = True,
        limit: int = -1,
    ) -> list[sqlite3.Row]:
        """Rows of one kind that meet every condition; a condition is SQL with one `?`."""
        where = "".join(f" AND {sql}" for sql, _ in conditions)
        order = "DESC" if newest_first else "ASC"
        return self.rows(
            f"SELECT id, doc FROM objects WHERE kind = ?{where} ORDER BY seq {order} LIMIT ?",
            [kind, *(value for _, value in conditions), limit],
        )

    # Settings ----------------------------------------------------------------------------

    def setting(self, name: str) -> str | None:
        row = self.row("SELECT value FROM settings WHERE name = ?", name)
        return None if row is None else str(row["value"])

    def set(self, name: str, value: str) -> None:
        self.run(
            "INSERT INTO settings (name, value) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            name,
            value,
        )
