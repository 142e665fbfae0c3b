"""Traffic that keeps account: which events were acknowledged, and what else was answered."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
from sqlalchemy import URL

from app.infra.db.engine import asyncpg_arguments
from tests.support.recount import broken_at

REPEATED = 0.2
"""How many of the requests send again what was sent before."""

_KINDS = ("debate", "tokens", "api_call")


@dataclass
class Load:
    """Workers that send events to one or several processes, single and in batches."""

    urls: Sequence[str]
    headers: dict[str, str]
    at: str
    batch: int = 10
    pause: float = 0.02
    with_singles: bool = True
    acknowledged: set[str] = field(default_factory=set)
    answers: Counter[int] = field(default_factory=Counter)
    cut: list[str] = field(default_factory=list)
    refused: int = 0
    sent: list[list[dict[str, Any]]] = field(default_factory=list)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, workers: int, prefix: str = "w") -> None:
        """Send until `stopped`; a worker that finds nobody listening tries again."""
        await asyncio.gather(
            *(self._work(f"{prefix}{number}", number) for number in range(workers))
        )

    async def send_all_again(self) -> None:
        """What a client does that got no answer; everything must be accepted now."""
        async with self._client(self.urls[0]) as http:
            for start in range(0, len(self.sent), 16):
                answered = await asyncio.gather(
                    *(self._send(http, rows) for rows in self.sent[start : start + 16])
                )
                assert all(answered), self.answers

    async def _work(self, name: str, number: int) -> None:
        choose = random.Random(number)
        while not self.stopped.is_set():
            async with self._client(self.urls[number % len(self.urls)]) as http:
                try:
                    while not self.stopped.is_set():
                        rows = self._rows(name, choose)
                        await self._send(http, rows)
                        await asyncio.sleep(self.pause)
                except httpx.ConnectError:
                    self.refused += 1
                    await asyncio.sleep(0.05)
                except httpx.TransportError as error:
                    self.cut.append(repr(error))

    def _rows(self, name: str, choose: random.Random) -> list[dict[str, Any]]:
        if self.sent and choose.random() < REPEATED:
            return choose.choice(self.sent)
        number = len(self.sent)
        rows = [
            {
                "id": f"{name}-{number}-{row}",
                "type": _KINDS[(number + row) % len(_KINDS)],
                "provider": "openai",
                "model": "gpt-4o",
                "tokens_in": 100,
                "tokens_out": row,
                "agent": name,
                "occurred_at": self.at,
            }
            for row in range(1 if self.with_singles and number % 2 else self.batch)
        ]
        self.sent.append(rows)
        return rows

    async def _send(self, http: httpx.AsyncClient, rows: list[dict[str, Any]]) -> bool:
        if len(rows) == 1:
            answer = await http.post("/api/v1/usage/events", json=rows[0])
        else:
            answer = await http.post("/api/v1/usage/events/batch", json={"events": rows})
        self.answers[answer.status_code] += 1
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) > 0
            assert answer.headers["content-type"] == "application/problem+json"
            return False
        assert answer.status_code in (200, 201), answer.text
        if len(rows) > 1:
            assert answer.json()["errors"] == 0, answer.text
        self.acknowledged.update(row["id"] for row in rows)
        return True

    def _client(self, url: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=url, headers=self.headers, timeout=90)


async def reconcile(database: URL, load: Load) -> int:
    """Acknowledged is stored, once, and everything that is kept agrees; returns the rows."""
    connection = await asyncpg.connect(**asyncpg_arguments(database))
    try:
        stored = [row[0] for row in await connection.fetch("select event_key from usage_events")]
    finally:
        await connection.close()
    missing = load.acknowledged - set(stored)
    assert not missing, f"{len(missing)} acknowledged events are missing"
    assert len(stored) == len(set(stored))
    assert await broken_at(database) == {}
    return len(stored)
