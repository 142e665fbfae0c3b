"""What a mail is, and who can send one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from app.kernel.errors import Refused, Unavailable


class MailUnavailable(Unavailable):
    """The mail server cannot take mail just now: {reason}."""

    code = "mail_unavailable"


class MailRefused(Refused):
    """The mail server refuses this mail for good: {reason}."""

    code = "mail_refused"


@dataclass(frozen=True, slots=True)
class Mail:
    """One message to one person, as text and as HTML.

    *reference* names what caused it. It becomes the Message-ID, so a mail that had to be sent
    twice can be recognised as one by whoever receives it.
    """

    to: str
    subject: str
    text: str
    html: str
    reference: str | None = None
    unsubscribe_url: str | None = None
    """Where a POST stops mails of this kind to this person (RFC 8058)."""


class MailGateway(Protocol):
    """Hands mail over. Refuses to be called inside a unit of work."""

    async def send(self, mail: Mail) -> None:
        """Return once the mail is taken over.

        Raises `MailUnavailable` when trying again may help, `MailRefused` when it will not.
        """
        ...
