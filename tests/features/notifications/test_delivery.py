"""One cause, one mail: however often the job runs, whatever fails on the way."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from app.gateways.mail.gateway import Mail, MailRefused, MailUnavailable
from app.gateways.mail.memory import MemoryMail
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import ManualClock
from app.kernel.ids import OrganizationId, new_id
from app.notifications.domain import LEASE, Cause, Letter, NoticeKind, NoticeState
from app.notifications.errors import NoticeUnderway
from app.notifications.models import Notice, PersonalNotice
from app.notifications.rendering import Renderer
from app.notifications.repository import NoticeRepository
from app.notifications.service.delivery import Delivery

TO = "ada@example.test"


@pytest.fixture
def mail() -> MemoryMail:
    return MemoryMail()


@pytest.fixture
def delivery(work: UnitOfWork, clock: ManualClock, mail: MemoryMail) -> Delivery:
    return delivery_through(mail, work, clock)


def delivery_through(mail: MemoryMail, work: UnitOfWork, clock: ManualClock) -> Delivery:
    renderer = Renderer("http://billing.example.test", "Aragora")
    return Delivery(work, NoticeRepository(work), mail, renderer, clock)


def a_cause(organization_id: OrganizationId | None = None) -> Cause:
    return Cause(NoticeKind.PASSWORD_CHANGED, new_id(), organization_id)


async def compose() -> Letter:
    return Letter(TO, {"name": "Ada"})


async def notice_of(work: UnitOfWork, cause: Cause) -> PersonalNotice | Notice:
    async with work.begin_platform() as session:
        if cause.organization_id is None:
            found = await session.scalars(
                select(PersonalNotice).where(PersonalNotice.cause == cause.key)
            )
            return found.one()
        return (await session.scalars(select(Notice).where(Notice.cause == cause.key))).one()


@pytest.mark.parametrize("organization_id", [None, OrganizationId(new_id())])
async def test_a_job_that_runs_again_sends_nothing(
    delivery: Delivery, mail: MemoryMail, work: UnitOfWork, organization_id: OrganizationId | None
) -> None:
    cause = a_cause(organization_id)
    for _ in range(3):
        await delivery.send_once(cause, compose)
    assert len(mail.sent) == 1
    notice = await notice_of(work, cause)
    assert (notice.state, notice.attempts, notice.recipient) == ("sent", 1, TO)
    assert mail.sent[0].reference == cause.key


async def test_the_same_thing_happening_again_is_told_again(
    delivery: Delivery, mail: MemoryMail
) -> None:
    await delivery.send_once(a_cause(), compose)
    await delivery.send_once(a_cause(), compose)
    assert len(mail.sent) == 2


async def test_a_server_that_is_away_is_tried_again_and_the_tries_are_counted(
    delivery: Delivery, mail: MemoryMail, work: UnitOfWork
) -> None:
    cause = a_cause()
    mail.failures = [MailUnavailable(reason="away"), MailUnavailable(reason="still away")]
    for _ in range(2):
        with pytest.raises(MailUnavailable):
            await delivery.send_once(cause, compose)
    notice = await notice_of(work, cause)
    assert (notice.state, notice.attempts) == ("pending", 2)
    assert notice.last_error is not None
    assert "still away" in notice.last_error
    await delivery.send_once(cause, compose)
    notice = await notice_of(work, cause)
    assert (notice.state, notice.attempts, notice.last_error) == ("sent", 3, None)
    assert len(mail.sent) == 1


async def test_a_refused_address_is_noted_and_left_alone(
    delivery: Delivery, mail: MemoryMail, work: UnitOfWork
) -> None:
    cause = a_cause()
    mail.failures = [MailRefused(reason="SMTP 550")]
    await delivery.send_once(cause, compose)
    await delivery.send_once(cause, compose)
    assert mail.sent == []
    assert (await notice_of(work, cause)).state == NoticeState.REFUSED


async def test_what_nobody_needs_to_hear_is_obsolete(
    delivery: Delivery, mail: MemoryMail, work: UnitOfWork
) -> None:
    async def nothing() -> None:
        return None

    cause = a_cause()
    await delivery.send_once(cause, nothing)
    await delivery.send_once(cause, compose)
    assert mail.sent == []
    assert (await notice_of(work, cause)).state == NoticeState.OBSOLETE


async def test_a_failure_while_composing_leaves_the_notice_free(
    delivery: Delivery, mail: MemoryMail, work: UnitOfWork
) -> None:
    async def broken() -> Letter:
        raise LookupError("the token is s3cret")

    cause = a_cause()
    with pytest.raises(LookupError):
        await delivery.send_once(cause, broken)
    assert (await notice_of(work, cause)).last_error == "LookupError"
    await delivery.send_once(cause, compose)
    assert len(mail.sent) == 1


class SlowMail(MemoryMail):
    """Lets another worker in while it sends."""

    async def send(self, mail: Mail) -> None:
        await asyncio.sleep(0.05)
        await super().send(mail)


async def test_two_workers_with_one_job_send_one_mail(work: UnitOfWork, clock: ManualClock) -> None:
    mail = SlowMail()
    delivery = delivery_through(mail, work, clock)
    cause = a_cause()
    results = await asyncio.gather(
        *(delivery.send_once(cause, compose) for _ in range(5)), return_exceptions=True
    )
    assert len(mail.sent) == 1
    assert sorted(type(result).__name__ for result in results) == [
        "NoneType",
        *[NoticeUnderway.__name__] * 4,
    ]


class Died(BaseException):
    """The process is gone."""


async def test_a_process_that_dies_after_the_yes_sends_once_more_with_the_same_name(
    work: UnitOfWork, clock: ManualClock
) -> None:
    class DyingDelivery(Delivery):
        async def _settle(self, *_: object, **__: object) -> None:
            raise Died

    mail = MemoryMail()
    renderer = Renderer("http://billing.example.test", "Aragora")
    dying = DyingDelivery(work, NoticeRepository(work), mail, renderer, clock)
    cause = a_cause()
    with pytest.raises(Died):
        await dying.send_once(cause, compose)
    delivery = delivery_through(mail, work, clock)
    with pytest.raises(NoticeUnderway):
        await delivery.send_once(cause, compose)
    clock.advance(LEASE)
    await delivery.send_once(cause, compose)
    assert [sent.reference for sent in mail.sent] == [cause.key, cause.key]
    assert (await notice_of(work, cause)).attempts == 2
