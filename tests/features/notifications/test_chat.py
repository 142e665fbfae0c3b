"""The notification webhook hears what is no secret."""

from __future__ import annotations

from datetime import timedelta

from app.gateways.hooks.gateway import ChatRefused, ChatUnavailable
from app.kernel.ids import OrganizationId, new_id
from app.notifications.domain import RETRIES
from app.payments.events import RefundMade
from tests.factories.people import Owner, an_owner
from tests.features.notifications.conftest import Hooked


async def refunded(hooked: Hooked, owner: Owner, fact: RefundMade | None = None) -> RefundMade:
    fact = fact or RefundMade(owner.organization_id, new_id(), 5000, "usd")
    async with hooked.service.work.begin(OrganizationId(owner.organization_id)):
        hooked.service.work.announce(fact)
    await hooked.service.drain()
    return fact


async def test_a_room_hears_each_thing_once_whoever_else_is_mailed(hooked: Hooked) -> None:
    owner = await an_owner(hooked.service)
    fact = await refunded(hooked, owner)
    await refunded(hooked, owner, fact)
    (note,) = hooked.chat.notes
    assert note.kind == "refund_made"
    assert note.subject == "Analytical Engines: 50.00 USD were refunded"
    assert "Hello" not in note.text
    assert "-- " not in note.text


async def test_no_code_and_no_account_is_anybodys_business(hooked: Hooked) -> None:
    owner = await an_owner(hooked.service, plan="professional")
    await owner.client.post(
        f"/api/v1/organizations/{owner.id}/invites",
        json={"email": "guest@example.com", "role": "member"},
    )
    await hooked.service.client().post("/api/v1/auth/password/forgot", json={"email": owner.email})
    await hooked.service.drain()
    assert hooked.service.mail.to(owner.email)
    assert hooked.chat.notes == []


async def test_a_room_that_is_away_keeps_nobody_from_their_mail(hooked: Hooked) -> None:
    owner = await an_owner(hooked.service)
    # Where a run of jobs takes longer than the first wait, it tries again within it.
    hooked.chat.failures = [ChatUnavailable(reason="HTTP 500") for _ in range(3)]
    await refunded(hooked, owner)
    assert [m for m in hooked.service.mail.to(owner.email) if "refunded" in m.subject]
    assert hooked.chat.notes == []
    hooked.chat.failures.clear()
    hooked.service.clock.advance(sum(RETRIES[:3], timedelta()))
    await hooked.service.drain()
    assert len(hooked.chat.notes) == 1


async def test_a_room_that_is_gone_is_a_dead_letter(hooked: Hooked) -> None:
    owner = await an_owner(hooked.service)
    hooked.chat.failures = [ChatRefused(reason="HTTP 404")]
    await refunded(hooked, owner)
    hooked.service.clock.advance(days=3)
    await hooked.service.drain()
    assert hooked.chat.notes == []
