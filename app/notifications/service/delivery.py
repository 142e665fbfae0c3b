"""Sending a notice once for its cause, again and again until it is taken or given up."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.gateways.hooks.gateway import ChatGateway, ChatRefused, ChatUnavailable
from app.gateways.mail.gateway import MailGateway, MailRefused, MailUnavailable
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId
from app.notifications.domain import LEASE, RETRIES, Channel, Letter, NoticeState, Told
from app.notifications.rendering import Renderer
from app.notifications.repository.notices import NoticeRepository
from app.notifications.service.letters import Letters
from app.notifications.service.preferences import UnsubscribeLinks

log = structlog.get_logger(__name__)

DELIVER = "notifications.deliver"

_FORGOTTEN = timedelta(minutes=5)
_SWEEP = 500


@dataclass(frozen=True, slots=True)
class _Outcome:
    state: NoticeState
    recipient: str | None = None
    subject: str | None = None
    error: str | None = None


class Delivery:
    """Three beats: take the notice, send it, note what became of it.

    A worker that dies while it holds one leaves it to another when the lease has run out. If it
    died after the server's yes, the notice goes out again: a reset link that never arrives is
    worse than one that arrives twice.
    """

    def __init__(
        self,
        work: UnitOfWork,
        notices: NoticeRepository,
        letters: Letters,
        renderer: Renderer,
        links: UnsubscribeLinks,
        mail: MailGateway,
        chat: ChatGateway | None,
        clock: Clock,
    ) -> None:
        self._work = work
        self._notices = notices
        self._letters = letters
        self._renderer = renderer
        self._links = links
        self._mail = mail
        self._chat = chat
        self._clock = clock

    async def deliver(self, organization_id: OrganizationId | None, notice_id: UUID) -> None:
        """Send the notice unless it is settled, another worker is at it, or it is not due yet.

        What may succeed later is tried again by itself, as long as `RETRIES` go; what the other
        side refuses for good is not. Neither raises: the notice's row says what happened.
        """
        told = await self._take(organization_id, notice_id)
        if told is not None:
            await self._settle(told, await self._attempt(told))

    async def sweep(self) -> int:
        """Ask again for notices that nobody came for; returns how many."""
        now = self._clock.now()
        async with self._work.begin_platform():
            forgotten = await self._notices.list_forgotten_due(now - _FORGOTTEN, _SWEEP)
            for organization_id, notice_id, attempts in forgotten:
                self._work.enqueue(
                    DELIVER,
                    {"organization_id": organization_id, "notice_id": notice_id},
                    dedupe_key=f"{notice_id}:{attempts + 1}:again",
                )
        return len(forgotten)

    async def _take(self, organization_id: OrganizationId | None, notice_id: UUID) -> Told | None:
        now = self._clock.now()
        async with self._unit(organization_id):
            notice = await self._notices.claim(organization_id, notice_id)
            if NoticeState(notice.state).is_final:
                return None
            if notice.leased_until is not None and notice.leased_until > now:
                # Whoever has it may be dead: look again when they must be done.
                self._work.enqueue(
                    DELIVER,
                    {"organization_id": organization_id, "notice_id": notice_id},
                    dedupe_key=f"{notice_id}:{notice.attempts}:lease",
                    due_at=notice.leased_until,
                )
                return None
            if notice.next_attempt_at is not None and notice.next_attempt_at > now:
                return None
            notice.leased_until = now + LEASE
            notice.attempts += 1
            return notice.told(organization_id, notice_id)

    async def _attempt(self, told: Told) -> _Outcome:
        letter = None
        try:
            letter = await self._letters.compose(told)
            if letter is None:
                return _Outcome(NoticeState.OBSOLETE)
            if told.channel is Channel.CHAT:
                return await self._post(told, letter)
            mail = self._renderer.mail(told, letter, self._links.of(told))
            await self._mail.send(mail)
            return _Outcome(NoticeState.SENT, letter.to, mail.subject)
        except (MailRefused, ChatRefused) as error:
            log.warning("notifications.refused", cause=told.cause, reason=error.message)
            state, reason = NoticeState.REFUSED, error.message
        except (MailUnavailable, ChatUnavailable) as error:
            state, reason = NoticeState.PENDING, error.message
        except Exception as error:
            # Its text is not kept: it may quote what the mail says.
            log.exception("notifications.not_composed", cause=told.cause)
            state, reason = NoticeState.PENDING, type(error).__name__
        return _Outcome(state, letter.to if letter is not None else None, error=reason)

    async def _post(self, told: Told, letter: Letter) -> _Outcome:
        if self._chat is None:
            return _Outcome(NoticeState.OBSOLETE)
        note = self._renderer.note(told, letter)
        await self._chat.post(note)
        return _Outcome(NoticeState.SENT, self._chat.place, note.subject)

    async def _settle(self, told: Told, outcome: _Outcome) -> None:
        now = self._clock.now()
        state, due_at = outcome.state, None
        if state is NoticeState.PENDING:
            if told.attempt > len(RETRIES):
                state = NoticeState.EXHAUSTED
                log.warning("notifications.exhausted", cause=told.cause, reason=outcome.error)
            else:
                due_at = now + RETRIES[told.attempt - 1]
        async with self._unit(told.organization_id):
            notice = await self._notices.claim(told.organization_id, told.notice_id)
            if notice.attempts != told.attempt and state is not NoticeState.SENT:
                return  # the lease ran out, and somebody else's attempt counts now
            notice.state = state.value
            notice.recipient = outcome.recipient or notice.recipient
            notice.subject = outcome.subject or notice.subject
            notice.last_error = outcome.error
            notice.leased_until = None
            notice.next_attempt_at = due_at
            notice.settled_at = now if state.is_final else None
            if due_at is not None:
                self._work.enqueue(
                    DELIVER,
                    {"organization_id": told.organization_id, "notice_id": told.notice_id},
                    dedupe_key=f"{told.notice_id}:{told.attempt + 1}",
                    due_at=due_at,
                )

    def _unit(
        self, organization_id: OrganizationId | None
    ) -> AbstractAsyncContextManager[AsyncSession]:
        if organization_id is None:
            return self._work.begin_platform()
        return self._work.begin(organization_id)
