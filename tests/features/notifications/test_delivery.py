"""One cause, one mail: however often the job runs, whatever fails on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from app.gateways.mail.gateway import Mail, MailRefused, MailUnavailable
from app.gateways.mail.memory import MemoryMail
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.security.secret import SigningSecret
from app.kernel.clock import ManualClock
from app.kernel.ids import OrganizationId, new_id
from app.notifications.domain import LEASE, RETRIES, Letter, NoticeKind, NoticeState, Told
from app.notifications.models import Notice, PersonalNotice
from app.notifications.rendering import Renderer
from app.notifications.repository.notices import NoticeRepository
from app.notifications.service.delivery import Delivery
from app.notifications.service.preferences import UnsubscribeLinks

TO = "ada@example.test"


LINKS = UnsubscribeLinks(SigningSecret(b"of a test"), "http://billing.example.test")


class Says:
    """Letters that say what the test wants: a letter, nothing, or an error."""

    def __init__(self, answer: Letter | Exception | None) -> None:
        self.answer = answer

    async def compose(self, told: Told) -> Letter | None:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


HELLO = Letter(TO, "Ada", {})


@pytest.fixture
def mail() -> MemoryMail:
    return MemoryMail()


@pytest.fixture
def letters() -> Says:
    return Says(HELLO)


@pytest.fixture
def delivery(work: UnitOfWork, clock: ManualClock, mail: MemoryMail, letters: Says) -> Delivery:
    return delivery_through(mail, work, clock, letters)


def delivery_through(
    mail: MemoryMail, work: UnitOfWork, clock: ManualClock, letters: Says
) -> Delivery:
    renderer = Renderer("http://billing.example.test", "Aragora", "help@example.test")
    return Delivery(work, NoticeRepository(work), letters, renderer, LINKS, mail, None, clock)  # type: ignore[arg-type]


async def a_notice(
    work: UnitOfWork, clock: ManualClock, organization_id: OrganizationId | None = None
) -> UUID:
    async with work.begin_platform():
        notice_id = await NoticeRepository(work).add_once(
            organization_id,
            f"password_changed:{new_id()}",
            NoticeKind.PASSWORD_CHANGED,
            {},
            clock.now(),
        )
    assert notice_id is not None
    return notice_id


async def notice_of(
    work: UnitOfWork, notice_id: UUID, organization_id: OrganizationId | None = None
) -> PersonalNotice | Notice:
    async with work.begin_platform():
        return await NoticeRepository(work).claim(organization_id, notice_id)


async def jobs_about(work: UnitOfWork, notice_id: UUID) -> list[Mapping[str, str]]:
    """What was asked for, with the instant it was asked for."""
    async with work.begin_platform() as session:
        rows = await session.execute(
            text(
                "select dedupe_key, headers ->> 'due_at' as due_at from pgqueuer"
                " where dedupe_key like :key order by id"
            ),
            {"key": f"{notice_id}:%"},
        )
        return [dict(row) for row in rows.mappings()]


@pytest.mark.parametrize("organization_id", [None, OrganizationId(new_id())])
async def test_a_job_that_runs_again_sends_nothing(
    delivery: Delivery,
    mail: MemoryMail,
    work: UnitOfWork,
    clock: ManualClock,
    organization_id: OrganizationId | None,
) -> None:
    notice_id = await a_notice(work, clock, organization_id)
    for _ in range(3):
        await delivery.deliver(organization_id, notice_id)
    assert len(mail.sent) == 1
    notice = await notice_of(work, notice_id, organization_id)
    assert (notice.state, notice.attempts, notice.recipient) == ("sent", 1, TO)
    assert notice.subject == mail.sent[0].subject
    assert mail.sent[0].reference == notice.cause


async def test_a_cause_has_one_notice(work: UnitOfWork, clock: ManualClock) -> None:
    organization_id = OrganizationId(new_id())
    notices = NoticeRepository(work)
    async with work.begin(organization_id):
        added = [
            await notices.add_once(organization_id, "x:1", NoticeKind.RECEIPT, {}, clock.now())
            for _ in range(3)
        ]
    assert [each is not None for each in added] == [True, False, False]


async def test_a_server_that_is_away_is_tried_again_later_and_later(
    delivery: Delivery, mail: MemoryMail, work: UnitOfWork, clock: ManualClock
) -> None:
    notice_id = await a_notice(work, clock)
    mail.failures = [MailUnavailable(reason="away"), MailUnavailable(reason="still away")]
    await delivery.deliver(None, notice_id)
    for _ in range(3):  # too early: nobody asks the server
        await delivery.deliver(None, notice_id)
    clock.advance(RETRIES[0])
    await delivery.deliver(None, notice_id)
    notice = await notice_of(work, notice_id)
    assert (notice.state, notice.attempts) == ("pending", 2)
    assert notice.last_error is not None
    assert "still away" in notice.last_error
    assert notice.next_attempt_at == clock.now() + RETRIES[1]
    due = [job["due_at"] for job in await jobs_about(work, notice_id)]
    assert due == [
        (clock.now()).isoformat(),
        (clock.now() + RETRIES[1]).isoformat(),
    ]
    clock.advance(RETRIES[1])
    await delivery.deliver(None, notice_id)
    notice = await notice_of(work, notice_id)
    assert (notice.state, notice.attempts, notice.last_error) == ("sent", 3, None)
    assert len(mail.sent) == 1


async def test_after_the_last_attempt_it_is_given_up(
    delivery: Delivery, mail: MemoryMail, work: UnitOfWork, clock: ManualClock
) -> None:
    notice_id = await a_notice(work, clock)
    attempts = len(RETRIES) + 1
    mail.failures = [MailUnavailable(reason="away") for _ in range(attempts + 5)]
    for wait in (*RETRIES, timedelta(days=1), timedelta(days=1)):
        await delivery.deliver(None, notice_id)
        clock.advance(wait)
    notice = await notice_of(work, notice_id)
    assert (notice.state, notice.attempts) == (NoticeState.EXHAUSTED, attempts)
    assert len(mail.failures) == 5


async def test_a_refused_address_is_a_dead_letter_at_once(
    delivery: Delivery, mail: MemoryMail, work: UnitOfWork, clock: ManualClock
) -> None:
    notice_id = await a_notice(work, clock)
    mail.failures = [MailRefused(reason="SMTP 550")]
    await delivery.deliver(None, notice_id)
    clock.advance(days=3)
    await delivery.deliver(None, notice_id)
    assert mail.sent == []
    notice = await notice_of(work, notice_id)
    assert (notice.state, notice.attempts) == (NoticeState.REFUSED, 1)
    assert await jobs_about(work, notice_id) == []


async def test_what_nobody_needs_to_hear_is_obsolete(
    delivery: Delivery, mail: MemoryMail, work: UnitOfWork, clock: ManualClock, letters: Says
) -> None:
    notice_id = await a_notice(work, clock)
    letters.answer = None
    await delivery.deliver(None, notice_id)
    letters.answer = HELLO
    await delivery.deliver(None, notice_id)
    assert mail.sent == []
    assert (await notice_of(work, notice_id)).state == NoticeState.OBSOLETE


async def test_a_failure_while_composing_is_tried_again_and_not_quoted(
    delivery: Delivery, mail: MemoryMail, work: UnitOfWork, clock: ManualClock, letters: Says
) -> None:
    notice_id = await a_notice(work, clock)
    letters.answer = LookupError("the token is s3cret")
    await delivery.deliver(None, notice_id)
    assert (await notice_of(work, notice_id)).last_error == "LookupError"
    letters.answer = HELLO
    clock.advance(RETRIES[0])
    await delivery.deliver(None, notice_id)
    assert len(mail.sent) == 1


class SlowMail(MemoryMail):
    """Lets another worker in while it sends."""

    async def send(self, mail: Mail) -> None:
        await asyncio.sleep(0.05)
        await super().send(mail)


async def test_two_workers_with_one_job_send_one_mail(
    work: UnitOfWork, clock: ManualClock, letters: Says
) -> None:
    mail = SlowMail()
    delivery = delivery_through(mail, work, clock, letters)
    notice_id = await a_notice(work, clock)
    await asyncio.gather(*(delivery.deliver(None, notice_id) for _ in range(5)))
    assert len(mail.sent) == 1
    notice = await notice_of(work, notice_id)
    assert (notice.state, notice.attempts) == ("sent", 1)


async def test_without_the_lease_two_workers_would_send_two(
    work: UnitOfWork, clock: ManualClock, letters: Says
) -> None:
    """The control: what holds them apart is the lease, not luck."""

    class Unleased(Delivery):
        async def _take(self, organization_id: OrganizationId | None, notice_id: UUID) -> Told:
            async with self._work.begin_platform():
                notice = await self._notices.claim(organization_id, notice_id)
                return notice.told(organization_id, notice_id)

    mail = SlowMail()
    renderer = Renderer("http://billing.example.test", "Aragora", "help@example.test")
    delivery = Unleased(work, NoticeRepository(work), letters, renderer, LINKS, mail, None, clock)  # type: ignore[arg-type]
    notice_id = await a_notice(work, clock)
    await asyncio.gather(*(delivery.deliver(None, notice_id) for _ in range(2)))
    assert len(mail.sent) == 2


class Died(BaseException):
    """The process is gone."""


class DyingMail(MemoryMail):
    """Dies before it sends, or right after the server's yes."""

    def __init__(self, *, after: bool) -> None:
        super().__init__()
        self.after = after
        self.deaths = 1

    async def send(self, mail: Mail) -> None:
        dies, self.deaths = self.deaths > 0, 0
        if dies and not self.after:
            raise Died
        await super().send(mail)
        if dies:
            raise Died


@pytest.mark.parametrize(("after", "sent"), [(False, 1), (True, 2)])
async def test_what_a_dead_process_held_is_sent_by_another_after_the_lease(
    work: UnitOfWork, clock: ManualClock, letters: Says, after: bool, sent: int
) -> None:
    """Killed before the server's yes it goes out once; killed after it, a second time, and
    whoever receives both sees one Message-ID."""
    mail = DyingMail(after=after)
    delivery = delivery_through(mail, work, clock, letters)
    notice_id = await a_notice(work, clock)
    with pytest.raises(Died):
        await delivery.deliver(None, notice_id)
    await delivery.deliver(None, notice_id)
    assert len(mail.sent) == sent - 1
    (appointment,) = await jobs_about(work, notice_id)
    assert appointment["due_at"] == (clock.now() + LEASE).isoformat()
    clock.advance(LEASE)
    await delivery.deliver(None, notice_id)
    assert len(mail.sent) == sent
    assert len({each.reference for each in mail.sent}) == 1
    assert (await notice_of(work, notice_id)).state == "sent"


async def test_a_worker_that_outlives_its_lease_does_not_undo_the_next_ones_note(
    work: UnitOfWork, clock: ManualClock, letters: Says
) -> None:
    class Stuck(MemoryMail):
        async def send(self, mail: Mail) -> None:
            if not self.sent:
                clock.advance(LEASE)
                await delivery_through(other, work, clock, letters).deliver(None, notice_id)
                raise MailUnavailable(reason="timed out")
            await super().send(mail)

    other = MemoryMail()
    notice_id = await a_notice(work, clock)
    await delivery_through(Stuck(), work, clock, letters).deliver(None, notice_id)
    notice = await notice_of(work, notice_id)
    assert (notice.state, notice.attempts) == ("sent", 2)
    assert len(other.sent) == 1


async def test_what_nobody_came_for_is_asked_for_again(
    delivery: Delivery, work: UnitOfWork, clock: ManualClock
) -> None:
    notice_id = await a_notice(work, clock)
    await delivery.sweep()
    assert await jobs_about(work, notice_id) == []
    clock.advance(minutes=6)
    for _ in range(2):
        await delivery.sweep()
    assert len(await jobs_about(work, notice_id)) == 1
    await delivery.deliver(None, notice_id)
    clock.advance(days=1)
    async with work.begin_platform():
        left = await NoticeRepository(work).list_forgotten_due(clock.now(), 10_000)
    assert notice_id not in [each for _, each, _ in left]
