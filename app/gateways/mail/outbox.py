"""Mail where no server is configured: files that a person can open."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parsedate_to_datetime
from pathlib import Path

import structlog

from app.gateways.mail.gateway import Mail, MailUnavailable
from app.gateways.mail.message import build_message
from app.infra.db.unit_of_work import refuse_inside_unit
from app.kernel.clock import Clock
from app.kernel.ids import new_id

log = structlog.get_logger(__name__)

KEPT = 1000


@dataclass(frozen=True, slots=True)
class KeptMail:
    """A mail as the outbox holds it."""

    name: str
    to: str
    subject: str
    text: str
    sent_at: datetime


class OutboxMail:
    """Writes each mail as an `.eml` file and says so in one log line.

    Files are complete or absent, readable by their owner only (they hold one-time links), and the
    newest thousand are kept.
    """

    def __init__(self, folder: Path, sender: str, clock: Clock) -> None:
        self._folder = folder
        self._sender = sender
        self._clock = clock

    async def send(self, mail: Mail) -> None:
        refuse_inside_unit()
        message = build_message(mail, self._sender, self._clock.now())
        # Names sort by age: a UUIDv7 begins with the time.
        path = self._folder / f"{new_id()}.eml"
        try:
            await asyncio.to_thread(self._write, path, message.as_bytes())
        except OSError as error:
            raise MailUnavailable(reason=type(error).__name__) from error
        log.info("mail.kept", to=mail.to, subject=str(message["Subject"]), file=str(path))

    async def list_newest(self, limit: int, *, before: str | None = None) -> list[KeptMail]:
        """The newest *limit* mails, newest first; only those older than the one named *before*."""
        refuse_inside_unit()
        return await asyncio.to_thread(self._read_newest, limit, before)

    def _write(self, path: Path, content: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        for old in self._names()[KEPT:]:
            old.unlink(missing_ok=True)

    def _names(self) -> list[Path]:
        return sorted(self._folder.glob("*.eml"), reverse=True)

    def _read_newest(self, limit: int, before: str | None) -> list[KeptMail]:
        found: list[KeptMail] = []
        for path in self._names():
            if len(found) == limit:
                break
            if before is not None and path.stem >= before:
                continue
            try:
                found.append(_read(path))
            except FileNotFoundError:  # another process pruned it meanwhile
                continue
        return found


def _read(path: Path) -> KeptMail:
    message = message_from_bytes(path.read_bytes(), _class=EmailMessage, policy=SMTP)
    body = message.get_body(("plain",))
    return KeptMail(
        name=path.stem,
        to=str(message["To"]),
        subject=str(message["Subject"]),
        text=body.get_content().replace("\r\n", "\n") if body is not None else "",
        sent_at=parsedate_to_datetime(str(message["Date"])),
    )
