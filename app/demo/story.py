"""The main job, step by step, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from app.demo.account import Account
from app.demo.checkout import pay
from app.demo.trace import Call

PLAN = "professional"
BATCH = 500
SENDERS = 4
QUOTA = 200
ATTEMPTS = 260
CLIENTS = 50
_PATIENCE_SECONDS = 60

Progress = Callable[[int], None]


class DemoFailed(RuntimeError):
    """The service did not do what it promises."""


@dataclass
class Recorded:
    """What the service said of the calls that were sent."""

    recorded: int = 0
    duplicates: int = 0
    errors: int = 0


class Story:
    """One customer's first day."""

    def __init__(self, http: httpx.AsyncClient, account: Account) -> None:
        self._http = http
        self._account = account

    async def sign_in(self) -> str:
        """Register, or sign in when this is a second run. Returns the organization's id."""
        person = {"email": self._account.email, "password": self._account.password}
        answer = await self._http.post(
            "/api/v1/auth/register",
            json={**person, "name": "Demo Person", "organization_name": "Demo Company"},
        )
        if answer.status_code == 409:
            answer = await self._http.post("/api/v1/auth/login", json=person)
        body = _checked(answer)
        self._http.headers["Authorization"] = f"Bearer {body['access_token']}"
        return str(body["organization"]["id"])

    async def subscribe(self, say: Callable[[str], None]) -> dict[str, Any]:
        """Buy Professional on the hosted page, and wait for the webhook to grant it."""
        subscription = await self.subscription()
        if subscription["tier"] == PLAN:
            return subscription
        session = _checked(
            await self._http.post(
                "/api/v1/billing/checkout",
                json={
                    "plan": PLAN,
                    "success_url": "https://example.com/thanks?session={CHECKOUT_SESSION_ID}",
                    "cancel_url": "https://example.com/pricing",
                },
            )
        )
        if httpx.URL(session["url"]).host in {"127.0.0.1", "localhost"}:
            await pay(session["url"])
        else:
            say(f"Pay here to go on: {session['url']}")
        for _ in range(_PATIENCE_SECONDS * 4):
            subscription = await self.subscription()
            if subscription["tier"] == PLAN:
                return subscription
            await asyncio.sleep(0.25)
        raise DemoFailed("the plan was paid for, but access did not follow")

    async def subscription(self) -> dict[str, Any]:
        return _checked(await self._http.get("/api/v1/billing/subscription"))

    async def send(self, calls: list[Call], progress: Progress) -> Recorded:
        """Report every call, in batches from a few senders at once."""
        total = Recorded()
        if not calls:
            return total
        span = max(call.offset for call in calls)
        start = self._account.end - span
        queue = _batches(calls)

        async def sender() -> None:
            for batch in queue:
                body = _checked(
                    await self._http.post(
                        "/api/v1/usage/events/batch",
                        json={"events": [_event(call, start) for call in batch]},
                    )
                )
                total.recorded += body["recorded"]
                total.duplicates += body["duplicates"]
                total.errors += body["errors"]
                progress(len(batch))

        await asyncio.gather(*(sender() for _ in range(SENDERS)))
        return total

    async def summary(self, since: datetime, until: datetime) -> dict[str, Any]:
        return _checked(
            await self._http.get(
                "/api/v1/usage/summary",
                params={"since": since.isoformat(), "until": until.isoformat()},
            )
        )

    async def hold_debates(self, progress: Progress) -> tuple[int, int, int]:
        """Ask for more debates than the plan has, from 50 clients at once.

        Returns how many were let through, refused (402) and known already.
        """
        counts = {201: 0, 402: 0, 200: 0}
        numbers = iter(range(ATTEMPTS))

        async def client() -> None:
            for number in numbers:
                answer = await self._http.post(
                    "/api/v1/usage/events",
                    params={"enforce": "true"},
                    json={
                        "id": f"demo-debate-{number}",
                        "type": "debate",
                        "debate_id": f"debate-{number}",
                    },
                )
                if answer.status_code not in counts:
                    _checked(answer)
                counts[answer.status_code] += 1
                progress(1)

        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        return counts[201], counts[402], counts[200]

    async def quota(self, metric: str) -> dict[str, Any]:
        listed = _checked(await self._http.get("/api/v1/billing/quota"))["data"]
        return next(item for item in listed if item["metric"] == metric)

    async def newest_invoice(self) -> dict[str, Any]:
        """The newest invoice; waits a little, because it arrives by webhook."""
        for _ in range(_PATIENCE_SECONDS * 4):
            listed = _checked(await self._http.get("/api/v1/billing/invoices"))["data"]
            if listed:
                return dict(listed[0])
            await asyncio.sleep(0.25)
        raise DemoFailed("no invoice arrived")

    async def invoice_pdf(self, invoice_id: str) -> bytes:
        answer = await self._http.get(f"/api/v1/billing/invoices/{invoice_id}/pdf")
        if answer.status_code != 200 or not answer.content.startswith(b"%PDF-"):
            raise DemoFailed(f"the invoice is no PDF: {answer.status_code} {answer.text[:200]}")
        return answer.content


def _batches(calls: list[Call]) -> Iterator[list[Call]]:
    for start in range(0, len(calls), BATCH):
        yield calls[start : start + BATCH]


def _event(call: Call, start: datetime) -> dict[str, Any]:
    return {
        "id": call.key,
        "type": "tokens",
        "occurred_at": (start + call.offset).isoformat(),
        "provider": call.provider,
        "model": call.model,
        "tokens_in": call.tokens_in,
        "tokens_out": call.tokens_out,
    }


def _checked(answer: httpx.Response) -> dict[str, Any]:
    if answer.is_success:
        return dict(answer.json())
    raise DemoFailed(f"{answer.request.method} {answer.request.url.path}: {answer.text[:500]}")
