"""What was told can be looked at; what did not get through, sent again."""

from __future__ import annotations

from sqlalchemy import text

from app.gateways.mail.gateway import MailRefused
from app.kernel.ids import OrganizationId, new_id
from app.notifications.invariants import INVARIANTS
from app.payments.events import RefundMade
from tests.factories.operators import an_operator
from tests.factories.people import Owner, an_owner
from tests.features.notifications.test_notices import join
from tests.support.service import Service

PATH = "/api/v1/notifications"
ADMIN = "/api/v1/admin/notifications"


async def refunded(service: Service, owner: Owner) -> None:
    of = OrganizationId(owner.organization_id)
    async with service.work.begin(of):
        service.work.announce(RefundMade(of, new_id(), 100, "usd"))
    await service.drain()


async def test_an_organization_sees_its_notices_and_nobody_elses(service: Service) -> None:
    owner, other = await an_owner(service, plan="professional"), await an_owner(service)
    member = await join(service, owner, "member")
    for _ in range(3):
        await refunded(service, owner)
    listed = (await owner.client.get(PATH, params={"kind": "refund_made"})).json()["data"]
    assert [(each["state"], each["recipient"], each["attempts"]) for each in listed] == [
        ("sent", owner.email, 1)
    ] * 3
    assert listed[0]["subject"] == "Analytical Engines: 1.00 USD were refunded"
    assert listed[0]["id"].startswith("ntc_")
    page = (await owner.client.get(PATH, params={"limit": 2, "kind": "refund_made"})).json()
    rest = (
        await owner.client.get(PATH, params={"kind": "refund_made", "cursor": page["next_cursor"]})
    ).json()
    assert page["data"] + rest["data"] == listed
    assert (await owner.client.get(PATH, params={"state": "refused"})).json()["data"] == []
    assert (await other.client.get(PATH)).json()["data"] == []
    assert (await member.client.get(PATH)).status_code == 403


async def test_an_operator_sends_a_dead_letter_again(service: Service) -> None:
    operator, owner = await an_operator(service), await an_owner(service)
    await service.drain()
    service.mail.failures = [MailRefused(reason="SMTP 550")]
    await refunded(service, owner)
    dead = (await operator.get(ADMIN, params={"state": "refused", "limit": 1})).json()["data"][0]
    assert (dead["organization_id"], dead["kind"]) == (owner.id, "refund_made")
    assert "SMTP 550" in dead["last_error"]
    again = await operator.post(f"{ADMIN}/{dead['id']}/resend")
    assert (again.status_code, again.json()["state"]) == (202, "pending")
    await service.drain()
    assert [mail for mail in service.mail.to(owner.email) if "refunded" in mail.subject]
    refused = await operator.post(f"{ADMIN}/{dead['id']}/resend")
    assert (refused.status_code, refused.json()["code"]) == (409, "notice_not_dead")
    assert (await owner.client.get(ADMIN)).status_code == 403


async def test_operators_see_everybodys_in_one_list(service: Service) -> None:
    operator = await an_operator(service)
    owner = await an_owner(service)
    await refunded(service, owner)
    first = (await operator.get(ADMIN, params={"limit": 1})).json()
    second = (await operator.get(ADMIN, params={"limit": 1, "cursor": first["next_cursor"]})).json()
    assert first["data"][0]["kind"] == "refund_made"
    assert second["data"][0]["kind"] == "email_verification"
    assert second["data"][0]["organization_id"] is None


async def broken(service: Service) -> list[str]:
    async with service.work.begin_platform() as session:
        return [
            name
            for name, (_, sql) in INVARIANTS.items()
            if (await session.execute(text(sql), {"organization_id": None})).first()
        ]


async def test_what_must_always_hold_is_noticed_when_it_does_not(service: Service) -> None:
    owner = await an_owner(service)
    await service.drain()
    await refunded(service, owner)
    made = await owner.client.post(f"{PATH}/endpoints", json={"url": "https://example.com/hook"})
    for _ in range(2):
        await owner.client.post(f"{PATH}/endpoints/{made.json()['id']}/ping")
    assert await broken(service) == []
    for change in (
        "update notices set recipient = null where state = 'sent' and organization_id = :of",
        "update notices set settled_at = null where state = 'sent' and organization_id = :of",
        "update notices set state = 'pending', settled_at = null where organization_id = :of",
        "update webhook_endpoints set disabled_at = created_at where organization_id = :of",
        "update webhook_deliveries set state = 'sent' where organization_id = :of and sequence = 2",
    ):
        try:
            async with service.work.begin_platform() as session:
                await session.execute(text(change), {"of": owner.organization_id})
                assert [
                    name
                    for name, (_, sql) in INVARIANTS.items()
                    if (
                        await session.execute(text(sql), {"organization_id": owner.organization_id})
                    ).first()
                ], change
                raise _UndoError
        except _UndoError:
            pass


class _UndoError(Exception):
    """Takes a change back."""
