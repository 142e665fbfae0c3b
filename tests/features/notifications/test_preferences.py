"""Which mails somebody does without, for themselves or for everybody, by hand or by a link."""

from __future__ import annotations

import re

import httpx
import pytest

from app.gateways.mail.gateway import Mail
from app.kernel.ids import OrganizationId, new_id
from app.notifications.domain import NoticeKind
from app.notifications.kinds import RULES, can_be_muted
from app.payments.events import DisputeClosed, RefundMade
from tests.factories.people import Owner, an_owner
from tests.features.notifications.test_notices import join
from tests.support.service import Service

PATH = "/api/v1/notifications/preferences"


async def both_happen(service: Service, owner: Owner) -> None:
    of = OrganizationId(owner.organization_id)
    async with service.work.begin(of):
        service.work.announce(RefundMade(of, new_id(), 100, "usd"))
        service.work.announce(DisputeClosed(of, new_id(), "won"))
    await service.drain()


def told(service: Service, owner: Owner) -> list[str]:
    subjects = " ".join(mail.subject for mail in service.mail.to(owner.email))
    return [word for word in ("refunded", "settled") if word in subjects]


async def put(client: httpx.AsyncClient, muted: list[str], path: str = PATH) -> httpx.Response:
    return await client.put(path, json={"muted": muted})


async def test_without_a_word_everything_is_mailed(service: Service) -> None:
    owner = await an_owner(service)
    answer = await owner.client.get(PATH)
    assert answer.status_code == 200
    assert (answer.json()["muted"], answer.json()["muted_for_everybody"]) == ([], [])
    kinds = {each["kind"]: each for each in answer.json()["kinds"]}
    assert kinds["refund_made"] == {
        "kind": "refund_made",
        "can_be_muted": True,
        "event": "refund.made",
    }
    assert kinds["password_reset"]["can_be_muted"] is False
    assert "model_unpriced" not in kinds
    await both_happen(service, owner)
    assert told(service, owner) == ["refunded", "settled"]


async def test_one_member_does_without_and_the_others_do_not(service: Service) -> None:
    owner = await an_owner(service, plan="professional")
    admin = await join(service, owner, "admin")
    assert (await put(owner.client, ["refund_made"])).json()["muted"] == ["refund_made"]
    await both_happen(service, owner)
    assert told(service, owner) == ["settled"]
    assert told(service, admin) == ["refunded", "settled"]
    assert (await put(owner.client, [])).json()["muted"] == []


async def test_nobody_in_the_organization_is_mailed_what_it_does_without(service: Service) -> None:
    owner = await an_owner(service, plan="professional")
    admin, member = await join(service, owner, "admin"), await join(service, owner, "member")
    path = f"{PATH}/organization"
    assert (await put(member.client, ["refund_made"], path)).status_code == 403
    answer = await put(admin.client, ["refund_made"], path)
    assert answer.json()["muted_for_everybody"] == ["refund_made"]
    await both_happen(service, owner)
    assert told(service, owner) == told(service, admin) == ["settled"]
    other = await an_owner(service)
    await both_happen(service, other)
    assert told(service, other) == ["refunded", "settled"]


@pytest.mark.parametrize("kind", [kind for kind in NoticeKind if not can_be_muted(kind)])
async def test_what_concerns_safety_cannot_be_turned_off(
    service: Service, kind: NoticeKind
) -> None:
    owner = await an_owner(service)
    for path in (PATH, f"{PATH}/organization"):
        refused = await put(owner.client, [kind.value], path)
        assert (refused.status_code, refused.json()["code"]) == (422, "cannot_be_muted")


def test_accounts_and_invitations_are_among_what_cannot() -> None:
    assert {kind for kind, rule in RULES.items() if rule.is_private} == {
        NoticeKind.EMAIL_VERIFICATION,
        NoticeKind.PASSWORD_RESET,
        NoticeKind.PASSWORD_CHANGED,
        NoticeKind.INVITE,
    }
    assert not any(can_be_muted(kind) for kind, rule in RULES.items() if rule.is_private)


async def test_preferences_are_a_persons_and_not_a_keys(service: Service) -> None:
    owner = await an_owner(service, plan="professional")
    key = await owner.client.post("/api/v1/auth/api-keys", json={"name": "k"})
    async with service.client(**{"X-API-Key": key.json()["key"]}) as caller:
        assert (await caller.get(PATH)).status_code == 403
        assert (await put(caller, [])).status_code == 403


LINK = re.compile(r"No more mails like this: (\S+)")


async def a_mail(service: Service, owner: Owner) -> Mail:
    await both_happen(service, owner)
    return next(mail for mail in service.mail.to(owner.email) if "refunded" in mail.subject)


async def test_a_mails_link_stops_its_kind_for_its_reader_without_signing_in(
    service: Service, client: httpx.AsyncClient
) -> None:
    owner = await an_owner(service, plan="professional")
    admin = await join(service, owner, "admin")
    mail = await a_mail(service, owner)
    assert mail.unsubscribe_url is not None
    assert LINK.findall(mail.text) == [mail.unsubscribe_url]
    assert mail.unsubscribe_url in mail.html

    page = await client.get(mail.unsubscribe_url)
    assert page.status_code == 200
    assert "<form" in page.text
    assert (await owner.client.get(PATH)).json()["muted"] == []

    for _ in range(2):
        answer = await client.post(
            mail.unsubscribe_url,
            content="List-Unsubscribe=One-Click",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["success"] is True
    clicked = await client.post(mail.unsubscribe_url, headers={"Accept": "text/html,*/*;q=0.8"})
    assert clicked.headers["content-type"] == "text/html; charset=utf-8"
    assert "You get no more mails about refund made." in clicked.text
    assert (await owner.client.get(PATH)).json()["muted"] == ["refund_made"]
    assert (await admin.client.get(PATH)).json()["muted"] == []


@pytest.mark.parametrize("token", ["x", "a.b.c", "<script>alert(1)</script>"])
async def test_what_is_no_link_of_ours_stops_nothing(client: httpx.AsyncClient, token: str) -> None:
    path = "/api/v1/notifications/unsubscribe"
    assert (await client.post(path, params={"token": token})).status_code == 404
    page = await client.get(path, params={"token": token})
    assert "<script>" not in page.text
    clicked = await client.post(path, params={"token": token}, headers={"Accept": "text/html"})
    assert (clicked.status_code, "<h1>" in clicked.text) == (404, True)


async def test_somebody_elses_token_is_no_link(service: Service, client: httpx.AsyncClient) -> None:
    """An access token is signed here too, and means something else."""
    owner = await an_owner(service)
    answer = await client.post("/api/v1/notifications/unsubscribe", params={"token": owner.token})
    assert answer.status_code == 404


async def test_mails_with_a_code_and_those_to_operators_have_no_such_link(
    service: Service,
) -> None:
    owner = await an_owner(service)
    await service.drain()
    (mail,) = service.mail.to(owner.email)
    assert mail.unsubscribe_url is None
    assert LINK.findall(mail.text) == []
