"""Usage to bill, and operators who bill it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx

from app.credits.models import TopUp
from app.kernel.ids import encode_id, new_id
from tests.factories.operators import an_operator
from tests.factories.people import Owner
from tests.support.service import Service

SONNET = {"provider": "anthropic", "model": "claude-sonnet-4"}
"""3 dollars a million tokens in, 15 out."""


async def use(
    owner: Owner, name: str, at: datetime, tokens_in: int = 0, tokens_out: int = 0, **more: Any
) -> None:
    """One call of a model that has a price, or whatever *more* says."""
    event = {
        "id": name,
        "type": "tokens",
        "occurred_at": at.isoformat(),
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        **SONNET,
        **more,
    }
    answer = await owner.client.post("/api/v1/usage/events", json=event)
    assert answer.status_code == 201, answer.text


async def spend(owner: Owner, name: str, at: datetime, cents: int) -> None:
    """Usage that costs so many cents: 3,333.33… tokens in each, so ten thousand for three."""
    assert cents % 3 == 0
    await use(owner, name, at, tokens_in=cents * 10_000 // 3)


async def generate(
    operator: httpx.AsyncClient, owner: Owner, period: str, **more: Any
) -> dict[str, Any]:
    answer = await operator.post(
        "/api/v1/admin/invoices/generate",
        json={"organization_id": owner.id, "period": period, **more},
    )
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def act(
    operator: httpx.AsyncClient, invoice: dict[str, Any], action: str, **body: Any
) -> dict[str, Any]:
    """An operator's step on an invoice, which has to work."""
    answer = await operator.post(
        f"/api/v1/admin/invoices/{invoice['id']}/{action}", json=body or None
    )
    assert answer.status_code in (200, 201), answer.text
    return dict(answer.json())


async def a_credited_invoice(service: Service, owner: Owner) -> tuple[str, str]:
    """The ids of an invoice of ours that was paid by transfer, and of a note that takes it back."""
    operator = await an_operator(service)
    now = service.clock.now()
    await spend(owner, "for a credit note", now, 300)
    issued = await act(operator, await generate(operator, owner, f"{now:%Y-%m}"), "finalize")
    await act(operator, issued, "mark-paid")
    note = await act(
        operator,
        issued,
        "credit-notes",
        lines=[{"line": 0}],
        kind="goodwill",
        reason="An example",
    )
    return str(issued["id"]), str(note["id"])


async def a_top_up(service: Service, owner: Owner) -> str:
    """The id of a purchase of credit that was given up."""
    now = service.clock.now()
    top_up = TopUp(
        organization_id=owner.organization_id,
        id=new_id(),
        kind="manual",
        state="void",
        amount=1000,
        currency="usd",
        month=now.date().replace(day=1),
        monthly_cap=None,
        stripe_customer_id="cus_1",
        actor="system",
        created_at=now,
        settled_at=now,
    )
    async with service.work.begin(owner.organization_id) as session:
        session.add(top_up)
    return encode_id("top", top_up.id)
