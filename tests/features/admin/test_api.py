"""What operators see, and that nobody else does."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import URL

from app.gateways.mail.gateway import Mail
from app.gateways.mail.outbox import OutboxMail
from app.invoices.service.mirror import InvoiceMirror
from app.kernel.clock import ManualClock
from app.kernel.ids import new_id
from app.usage.models import UsageMonth
from app.webhooks.models import StripeEvent
from tests.conftest import START
from tests.factories.invoices import a_stripe_invoice
from tests.factories.operators import an_operator
from tests.factories.people import Owner, an_owner
from tests.support.service import Service, running

ADMIN = "/api/v1/admin"


@pytest.fixture
async def platform(fresh_url: URL) -> AsyncIterator[Service]:
    """A service of which nobody else is a customer."""
    async with running(fresh_url, ManualClock(START)) as service:
        yield service


def admin_calls(service: Service) -> list[tuple[str, str]]:
    """Every method and path under /admin, with something in place of each parameter."""
    found: list[tuple[str, str]] = []
    for path, operations in service.app.openapi()["paths"].items():
        if path.startswith(ADMIN):
            filled = path.format_map(_Anything())
            found += [(method.upper(), filled) for method in operations]
    return found


class _Anything(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "anything"


async def test_everyone_else_is_refused_on_every_path(service: Service) -> None:
    owner = await an_owner(service, plan="enterprise")
    calls = admin_calls(service)
    assert len(calls) >= 10
    for method, path in calls:
        answer = await owner.client.request(method, path)
        assert answer.status_code == 403, (method, path, answer.text)
        assert answer.json()["code"] == "operators_only"
        anonymous = await service.client().request(method, path)
        assert anonymous.status_code == 401, (method, path)


async def rows_of(operator: httpx.AsyncClient, path: str, **params: Any) -> list[dict[str, Any]]:
    answer = await operator.get(f"{ADMIN}{path}", params=params)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


async def mirrored(service: Service, owner: Owner, status: str, **changes: Any) -> None:
    await service.services[InvoiceMirror].record(
        owner.organization_id, a_stripe_invoice(status, **changes)
    )


async def test_a_customer_is_an_organization_with_its_oldest_owner(platform: Service) -> None:
    owner = await an_owner(platform, plan="professional", organization_name="Analytical Engines")
    operator = await an_operator(platform)
    (customer,) = await rows_of(operator, "/billing/customers")
    assert customer["id"] == owner.id
    assert customer["email"] == owner.email
    assert customer["name"] == "Analytical Engines"
    assert customer["tier"] == customer["metadata"]["tier"] == "professional"
    assert customer["metadata"]["user_id"].startswith("usr_")
    assert customer["members"] == 1


async def test_charges_are_paid_invoices_by_the_moment_of_payment(platform: Service) -> None:
    owner = await an_owner(platform)
    for age in (1, 3, 2):
        paid_at = START - timedelta(days=age)
        # Created in the opposite order, so that the order of creation would be wrong.
        await mirrored(
            platform, owner, "paid", paid_at=paid_at, created_at=START - timedelta(9 - age)
        )
    await mirrored(platform, owner, "paid", amount=0)
    await mirrored(platform, owner, "open", attempt_count=1)
    operator = await an_operator(platform)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params: dict[str, Any] = {"limit": 1, **({"cursor": cursor} if cursor else {})}
        page = (await operator.get(f"{ADMIN}/billing/recent-charges", params=params)).json()
        assert page["total"] == 3
        (charge,) = page["data"]
        seen.append(charge["created"])
        assert (charge["amount"], charge["currency"], charge["paid"]) == (29900, "usd", True)
        assert charge["description"].startswith("1 × Professional")
        assert (charge["id"][:4], charge["refunded"]) == ("inv_", False)
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["2026-11-20T09:00:00Z", "2026-11-19T09:00:00Z", "2026-11-18T09:00:00Z"]
    for broken in ("nonsense", "", "AAAA"):
        answer = await operator.get(f"{ADMIN}/billing/recent-charges", params={"cursor": broken})
        assert answer.status_code == 422


async def test_invoices_of_all_organizations(platform: Service) -> None:
    first, second = await an_owner(platform), await an_owner(platform)
    await mirrored(platform, first, "paid")
    await mirrored(platform, second, "open")
    operator = await an_operator(platform)
    listed = await rows_of(operator, "/billing/invoices")
    assert {row["organization_id"] for row in listed} == {first.id, second.id}
    (opened,) = await rows_of(operator, "/billing/invoices", status="open")
    assert opened["organization_id"] == second.id
    assert (await operator.get("/api/billing/admin/invoices")).json()["total"] == 2


async def test_users_come_with_the_use_of_their_organizations(platform: Service) -> None:
    owner = await an_owner(platform, plan="starter")
    async with platform.work.begin(owner.organization_id) as session:
        for month, debates in (("2026-11", 12), ("2026-10", 99)):
            session.add(
                UsageMonth(
                    organization_id=owner.organization_id,
                    month=month,
                    debates=Decimal(debates),
                    api_calls=Decimal(3),
                    total_tokens=1500,
                    total_cost=Decimal("0.0165"),
                    events=15,
                    tokens_in=1000,
                    tokens_out=500,
                    unpriced=0,
                )
            )
    operator = await an_operator(platform)
    users = await rows_of(operator, "/billing/users")
    person = next(user for user in users if user["email"] == owner.email)
    (membership,) = person["organizations"]
    assert (membership["id"], membership["role"], membership["tier"]) == (
        owner.id,
        "owner",
        "starter",
    )
    assert membership["usage"] == {
        "debates": "12",
        "api_calls": "3",
        "total_tokens": 1500,
        "total_cost_usd": "0.0165",
        "events": 15,
    }
    operators = [user for user in users if user["is_operator"]]
    assert [user["organizations"] for user in operators] == [[]]


async def test_the_audit_log_is_one_list_and_can_be_narrowed(platform: Service) -> None:
    first, second = await an_owner(platform), await an_owner(platform)
    operator = await an_operator(platform)
    entries: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        params: dict[str, Any] = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await operator.get(f"{ADMIN}/audit-log", params=params)).json()
        entries += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    ids = [entry["id"] for entry in entries]
    assert ids == sorted(set(ids), reverse=True)
    assert {entry["organization_id"] for entry in entries} == {first.id, second.id, None}
    own = await rows_of(operator, "/audit-log", organization_id=first.id)
    assert {entry["organization_id"] for entry in own} == {first.id}
    created = await rows_of(operator, "/audit-log", action="users.created")
    assert len(created) == 3
    assert all("password" not in str(entry["after"]) for entry in created)


def an_event(**changes: Any) -> StripeEvent:
    values: dict[str, Any] = {
        "event_id": f"evt_{new_id().hex}",
        "type": "invoice.paid",
        "object_id": "in_1",
        "api_version": None,
        "livemode": False,
        "is_thin": False,
        "occurred_at": START,
        "received_at": START,
        "payload": "{}",
        "state": "dead",
        "note": None,
        "attempts": 20,
        "handled_at": None,
        "last_error": "StripeUnavailable: away",
        **changes,
    }
    return StripeEvent(**values)


async def test_a_dead_event_is_found_and_replayed(platform: Service) -> None:
    event = an_event()
    async with platform.work.begin_platform() as session:
        session.add_all([event, an_event(state="ignored", type="customer.created")])
    operator = await an_operator(platform)
    assert len(await rows_of(operator, "/webhooks/events")) == 2
    (ignored,) = await rows_of(operator, "/webhooks/events", type="customer.created")
    assert ignored["state"] == "ignored"
    (dead,) = await rows_of(operator, "/webhooks/events", state="dead")
    assert dead["id"] == event.event_id
    assert dead["last_error"] == "StripeUnavailable: away"
    answer = await operator.post(f"{ADMIN}/webhooks/events/{dead['id']}/replay")
    assert answer.status_code == 202
    assert answer.json()["state"] == "pending"
    (entry,) = await rows_of(operator, "/audit-log", action="webhooks.event_replayed")
    assert entry["target"] == event.event_id
    assert re.fullmatch("usr_[0-9a-z]{26}", entry["actor"])
    unknown = await operator.post(f"{ADMIN}/webhooks/events/evt_nothing/replay")
    assert unknown.status_code == 404


async def test_the_outbox_can_be_read_where_there_is_one(fresh_url: URL, tmp_path: Path) -> None:
    async with running(fresh_url, ManualClock(START), data_dir=tmp_path) as service:
        for number in range(3):
            mail = Mail("ada@example.com", f"Mail {number}", "text", "<p>text</p>")
            await service.services[OutboxMail].send(mail)
        operator = await an_operator(service)
        first = (await operator.get(f"{ADMIN}/outbox", params={"limit": 2})).json()
        assert first["has_more"]
        cursor = first["next_cursor"]
        second = (await operator.get(f"{ADMIN}/outbox", params={"cursor": cursor})).json()
        mails = first["data"] + second["data"]
        assert [mail["subject"] for mail in mails] == ["Mail 2", "Mail 1", "Mail 0"]
        assert {mail["to"] for mail in mails} == {"ada@example.com"}
        assert (await service.client().get("/health")).json()["parts"]["mail"] == "outbox"


async def test_there_is_no_outbox_where_mail_goes_elsewhere(platform: Service) -> None:
    answer = await (await an_operator(platform)).get(f"{ADMIN}/outbox")
    assert answer.status_code == 404
    assert answer.json()["code"] == "no_outbox"
