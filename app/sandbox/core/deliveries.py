"""Signed delivery of events to every endpoint that listens, until each has said yes."""

import asyncio
import contextlib
import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable

from app.sandbox.core import signing, thin
from app.sandbox.core.params import Doc
from app.sandbox.core.sandbox import Sandbox

Sender = Callable[[str, bytes, dict[str, str]], Awaitable[int]]
"""Posts a body to a URL and answers with the status; raises when there was no answer."""

_log = logging.getLogger("sandbox.deliveries")
_AT_ONCE = 8
_LONGEST_NAP = 1.0


def payload(event: Doc) -> bytes:
    """The very bytes that are signed and sent, the same at every attempt."""
    if event["object"] == thin.KIND:
        event = thin.notification(event)
    return json.dumps(event, indent=2, ensure_ascii=False).encode()


class Deliverer:
    """At least once, in no promised order, also across a restart."""

    def __init__(self, sandbox: Sandbox, sender: Sender) -> None:
        self._sandbox = sandbox
        self._store = sandbox.store
        self._send = sender
        self._news = asyncio.Event()
        self._sending: set[int] = set()

    def wake(self) -> None:
        self._news.set()

    async def run(self, between: Callable[[], object]) -> None:
        """Deliver for ever; *between* is called at every turn, at least once a second."""
        while True:
            self._news.clear()
            try:
                between()
                if await self.deliver_due():
                    continue
            except Exception:  # noqa: BLE001 - one bad turn must not end all deliveries
                _log.exception("deliveries.turn_failed")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _LONGEST_NAP)

    async def deliver_due(self) -> int:
        """Attempt a batch of what is due, and say how many were attempted."""
        rows = self._store.rows(
            "SELECT * FROM deliveries WHERE state = 'pending' AND next_attempt_at <= ? "
            "ORDER BY coalesce(rank, id), id LIMIT ?",
            (self._sandbox.real_now(), _AT_ONCE + len(self._sending)),
        )
        due = [row for row in rows if row["id"] not in self._sending]
        numbers = {row["id"] for row in due}
        self._sending |= numbers
        try:
            await asyncio.gather(*(self._attempt(row) for row in due))
        finally:
            self._sending -= numbers
        return len(due)

    def redeliver(self, event: str) -> int:
        """Send an event again to everyone it was meant for."""
        return self._store.run(
            "UPDATE deliveries SET state = 'pending', attempts = 0, next_attempt_at = ?, "
            "finished_at = NULL WHERE event = ? AND NOT is_copy",
            self._sandbox.real_now(),
            event,
        )

    async def _attempt(self, row: sqlite3.Row) -> None:
        event = self._sandbox.find_any(row["event"])
        endpoint = self._sandbox.find("webhook_endpoint", row["endpoint"])
        if event is None or endpoint is None or endpoint.get("deleted"):
            self._finish(row, "canceled", None, "the endpoint is gone")
            return
        body = payload(event) if row["body"] is None else str(row["body"]).encode()
        at = int(self._sandbox.real_now())
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signing.header(secrets_of(endpoint, at), body, at),
        }
        status, error = None, None
        try:
            status = await self._send(endpoint["url"], body, headers)
        except Exception as refusal:  # noqa: BLE001 - whatever went wrong, it was not received
            error = f"{type(refusal).__name__}: {refusal}"[:500]
        if status is not None and 200 <= status < 300:
            self._finish(row, "delivered", status, None)
        else:
            self._retry(row, status, error)

    def _retry(self, row: sqlite3.Row, status: int | None, error: str | None) -> None:
        attempts = row["attempts"] + 1
        delays = self._sandbox.config.delivery_delays
        if attempts > len(delays):
            self._finish(row, "failed", status, error)
            return
        self._store.run(
            "UPDATE deliveries SET attempts = ?, next_attempt_at = ?, last_status = ?, "
            "last_error = ? WHERE id = ?",
            attempts,
            self._sandbox.real_now() + delays[attempts - 1],
            status,
            error,
            row["id"],
        )

    def _finish(self, row: sqlite3.Row, state: str, status: int | None, error: str | None) -> None:
        self._store.run(
            "UPDATE deliveries SET state = ?, attempts = ?, last_status = ?, last_error = ?, "
            "finished_at = ? WHERE id = ?",
            state,
            row["attempts"] + 1,
            status,
            error,
            self._sandbox.real_now(),
            row["id"],
        )


def secrets_of(endpoint: Doc, at: int) -> list[str]:
    """The secrets that sign for an endpoint: its own, and for a while those it had before."""
    earlier = [secret for secret, until in endpoint.get("_earlier_secrets", []) if at < until]
    return [endpoint["_secret"], *earlier]


UNDELIVERED = (
    "SELECT event FROM deliveries d WHERE state IN ('pending', 'held', 'failed') AND NOT is_copy"
)


def pending(sandbox: Sandbox, event: str) -> int:
    """How many endpoints have not yet acknowledged an event."""
    row = sandbox.store.row(f"SELECT count(*) AS n FROM ({UNDELIVERED} AND event = ?)", event)
    return int(row["n"]) if row else 0
