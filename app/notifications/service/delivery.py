"""Sending a notice once for its cause."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.gateways.mail.gateway import MailGateway, MailRefused, MailUnavailable
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.notifications.domain import LEASE, Cause, Letter, NoticeState
from app.notifications.errors import NoticeUnderway
from app.notifications.rendering import Renderer
from app.notifications.repository import NoticeRepository

log = structlog.get_logger(__name__)

Compose = Callable[[], Awaitable[Letter | None]]
"""Finds out whom to tell what, outside any unit; None when nobody needs to hear it any more."""


class Delivery:
    """Three beats: take the notice, send the mail, note what became of it."""

    def __init__(
        self,
        work: UnitOfWork,
        notices: NoticeRepository,
        mail: MailGateway,
        renderer: Renderer,
        clock: Clock,
    ) -> None:
        self._work = work
        self._notices = notices
        self._mail = mail
        self._renderer = renderer
        self._clock = clock

    async def send_once(self, cause: Cause, compose: Compose) -> None:
        """Send what *compose* says, unless the cause has been settled.

        Raises `MailUnavailable` for the job to try again, `NoticeUnderway` while another worker
        sends it. A mail that the server refuses for good is noted and not tried again. A process
        that dies after the server's yes sends again: a reset link that never arrives is worse
        than one that arrives twice.
        """
        if not await self._take(cause):
            return
        letter: Letter | None = None
        state, reason = NoticeState.PENDING, None
        try:
            letter = await compose()
            if letter is None:
                state = NoticeState.OBSOLETE
            else:
                await self._mail.send(self._renderer.render(cause, letter))
                state = NoticeState.SENT
        except MailRefused as error:
            log.warning("notifications.refused", cause=cause.key, reason=error.message)
            state, reason = NoticeState.REFUSED, error.message
        except Exception as error:
            reason = error.message if isinstance(error, MailUnavailable) else type(error).__name__
            raise
        finally:
            await self._settle(cause, state, letter.to if letter else None, reason)

    async def _take(self, cause: Cause) -> bool:
        now = self._clock.now()
        async with self._unit(cause):
            notice = await self._notices.claim(cause.organization_id, cause, now)
            if NoticeState(notice.state).is_final:
                return False
            if notice.leased_until is not None and notice.leased_until > now:
                raise NoticeUnderway
            notice.leased_until = now + LEASE
            notice.attempts += 1
            return True

    async def _settle(
        self,
        cause: Cause,
        state: NoticeState,
        recipient: str | None = None,
        error: str | None = None,
    ) -> None:
        now = self._clock.now()
        async with self._unit(cause):
            notice = await self._notices.claim(cause.organization_id, cause, now)
            notice.state = state.value
            notice.recipient = recipient
            notice.last_error = error
            notice.leased_until = None
            notice.settled_at = now if state.is_final else None

    def _unit(self, cause: Cause) -> AbstractAsyncContextManager[AsyncSession]:
        if cause.organization_id is None:
            return self._work.begin_platform()
        return self._work.begin(cause.organization_id)
