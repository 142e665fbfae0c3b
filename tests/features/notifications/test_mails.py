"""From what someone does to the mail in somebody's inbox, through the job queue."""

from __future__ import annotations

import re

from sqlalchemy import URL, select

from app.gateways.mail.gateway import Mail, MailUnavailable
from app.infra.jobs.worker import Payload
from app.jobs import handlers
from app.kernel.clock import ManualClock
from app.kernel.ids import new_id
from app.notifications.domain import RETRIES
from app.notifications.models import Notice, PersonalNotice
from tests.conftest import START
from tests.factories.people import PASSWORD, Owner, an_email, an_owner
from tests.gateways.test_mail import Inbox, serving
from tests.support.service import Service, running

CODE = re.compile(r"^    (\S+)$", re.MULTILINE)
NEW_PASSWORD = "a-brand-new-pass-phrase"


def code_in(mail: Mail) -> str:
    (code,) = CODE.findall(mail.text)
    assert code in mail.html
    return str(code)


def about(service: Service, address: str, subject: str) -> list[Mail]:
    return [mail for mail in service.mail.to(address) if subject in mail.subject]


async def ask_for_reset(service: Service, email: str) -> None:
    answer = await service.client().post("/api/v1/auth/password/forgot", json={"email": email})
    assert answer.status_code < 300


async def test_registering_sends_a_code_that_confirms_the_address(service: Service) -> None:
    owner = await an_owner(service)
    await service.drain()
    (mail,) = about(service, owner.email, "Confirm your e-mail address")
    assert "Hello Ada Lovelace," in mail.text
    answer = await service.client().post("/api/v1/auth/email/verify", json={"token": code_in(mail)})
    assert answer.status_code == 200, answer.text


async def test_a_forgotten_password_is_set_by_the_newest_code(service: Service) -> None:
    owner = await an_owner(service)
    await ask_for_reset(service, owner.email)
    await service.drain()
    await ask_for_reset(service, owner.email)
    await service.drain()
    first, second = about(service, owner.email, "Set a new password")
    for mail, status in ((first, 422), (second, 200), (second, 422)):
        answer = await service.client().post(
            "/api/v1/auth/password/reset",
            json={"token": code_in(mail), "new_password": NEW_PASSWORD},
        )
        assert answer.status_code == status, answer.text
    await service.drain()
    (told,) = about(service, owner.email, "Your password was changed")
    assert "token" not in told.text


async def test_nobody_is_mailed_for_an_address_without_account(service: Service) -> None:
    stranger = an_email()
    await ask_for_reset(service, stranger)
    await service.drain()
    assert service.mail.to(stranger) == []


async def invited(service: Service, owner: Owner) -> tuple[str, str]:
    guest = an_email("guest")
    answer = await owner.client.post(
        f"/api/v1/organizations/{owner.id}/invites", json={"email": guest, "role": "member"}
    )
    assert answer.status_code == 201, answer.text
    return guest, answer.json()["id"]


async def test_an_invited_person_comes_in_by_the_mailed_code(service: Service) -> None:
    owner = await an_owner(service, plan="professional", organization_name="Analytical Engines")
    guest, _ = await invited(service, owner)
    await service.drain()
    (mail,) = service.mail.to(guest)
    assert mail.subject == "Ada Lovelace invites you to Analytical Engines"
    assert "as member" in mail.text
    newcomer = await an_owner(service, email=guest)
    answer = await newcomer.client.post(
        "/api/v1/organizations/invites/accept", json={"token": code_in(mail)}
    )
    assert answer.status_code == 200, answer.text


async def test_a_withdrawn_invitation_is_not_mailed(service: Service) -> None:
    owner = await an_owner(service, plan="professional")
    guest, invite_id = await invited(service, owner)
    await owner.client.delete(f"/api/v1/organizations/{owner.id}/invites/{invite_id}")
    await service.drain()
    assert service.mail.to(guest) == []
    async with service.work.begin(owner.organization_id) as session:
        states = await session.scalars(
            select(Notice.state).where(Notice.organization_id == owner.organization_id)
        )
        assert states.all() == ["obsolete"]


async def test_a_job_that_is_delivered_twice_sends_one_mail(service: Service) -> None:
    owner = await an_owner(service)
    await service.drain()
    payload: Payload = {"user_id": str(owner.user_id), "fact_id": str(new_id())}
    run = handlers(service.services)["notifications.password_reset"]
    await run(payload)
    await run(payload)
    await service.drain()
    assert len(about(service, owner.email, "Set a new password")) == 1


async def test_a_mail_server_that_is_away_is_asked_again_by_appointment(service: Service) -> None:
    owner = await an_owner(service)
    await service.drain()
    await ask_for_reset(service, owner.email)
    service.mail.failures = [MailUnavailable(reason="away")]
    await service.drain()
    await service.drain()
    assert about(service, owner.email, "Set a new password") == []
    service.clock.advance(RETRIES[0])
    await service.drain()
    (mail,) = about(service, owner.email, "Set a new password")
    answer = await service.client().post(
        "/api/v1/auth/password/reset", json={"token": code_in(mail), "new_password": NEW_PASSWORD}
    )
    assert answer.status_code == 200, answer.text


async def test_with_a_mail_server_the_code_arrives_there(fresh_url: URL) -> None:
    inbox = Inbox()
    async for port in serving(inbox):
        async with running(
            fresh_url,
            ManualClock(START),
            smtp_host="localhost",
            smtp_port=port,
            smtp_from="pay@example.test",
        ) as service:
            assert (await service.client().get("/health")).json()["parts"]["mail"] == "smtp"
            owner = await an_owner(service)
            await service.drain()
    (message,) = inbox.messages
    assert (message["From"], message["To"]) == ("pay@example.test", owner.email)
    assert message["Subject"] == "Confirm your e-mail address"
    text = message.get_body(("plain",))
    assert text is not None
    assert CODE.search(text.get_content().replace("\r\n", "\n"))


async def test_no_row_holds_a_code(service: Service) -> None:
    owner = await an_owner(service)
    await ask_for_reset(service, owner.email)
    await service.drain()
    codes = [code_in(mail) for mail in service.mail.to(owner.email)]
    assert len(codes) == 2
    async with service.work.begin_platform() as session:
        rows = await session.scalars(
            select(PersonalNotice).where(PersonalNotice.recipient == owner.email)
        )
        written = " ".join(str(vars(row)) for row in rows)
    assert owner.email in written
    assert not any(code in written for code in codes)
    assert PASSWORD not in written
