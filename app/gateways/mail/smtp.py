"""Mail through an SMTP server."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from email.utils import parseaddr

import aiosmtplib

from app.gateways.mail.gateway import Mail, MailRefused, MailUnavailable
from app.gateways.mail.message import build_message
from app.infra.db.unit_of_work import refuse_inside_unit
from app.infra.telemetry.metrics import GATEWAY_SECONDS
from app.kernel.clock import Clock

IMPLICIT_TLS_PORT = 465
_TIMEOUT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail goes out, and as whom."""

    host: str
    port: int
    sender: str
    user: str | None = None
    password: str | None = None


class SmtpMail:
    """Sends each mail on a connection of its own.

    Port 465 speaks TLS from the start. Elsewhere STARTTLS is used when the server offers it, and
    demanded when there is a password to protect; certificates are always verified.
    """

    def __init__(
        self,
        server: SmtpServer,
        clock: Clock,
        *,
        tls: ssl.SSLContext | None = None,
        timeout_seconds: float = _TIMEOUT_SECONDS,
    ) -> None:
        self._server = server
        self._clock = clock
        self._tls = tls or ssl.create_default_context()
        self._timeout = timeout_seconds

    async def send(self, mail: Mail) -> None:
        refuse_inside_unit()
        started_at = time.perf_counter()
        outcome = "unavailable"
        try:
            await self._deliver(mail)
            outcome = "sent"
        except MailRefused:
            outcome = "refused"
            raise
        finally:
            GATEWAY_SECONDS.labels("mail", "send", outcome).observe(
                time.perf_counter() - started_at
            )

    async def _deliver(self, mail: Mail) -> None:
        server = self._server
        message = build_message(mail, server.sender, self._clock.now())
        # The library would fold headers its own way; only an address beyond ASCII needs it to.
        content = message.as_bytes() if mail.to.isascii() else message
        implicit_tls = server.port == IMPLICIT_TLS_PORT
        try:
            await aiosmtplib.send(
                content,
                sender=parseaddr(server.sender)[1],
                recipients=[mail.to],
                hostname=server.host,
                port=server.port,
                username=server.user,
                password=server.password,
                use_tls=implicit_tls,
                start_tls=False if implicit_tls else (True if server.user else None),
                tls_context=self._tls,
                timeout=self._timeout,
            )
        except aiosmtplib.SMTPException as error:
            raise _translated(error) from error
        except OSError as error:
            raise MailUnavailable(reason=type(error).__name__) from error


def _translated(error: aiosmtplib.SMTPException) -> MailUnavailable | MailRefused:
    """A wrong password is set right by an operator while the mail waits; a refused address stays.

    The server's own words are left out: they may repeat the address or the user.
    """
    codes: tuple[int, ...] = ()
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        codes = tuple(refusal.code for refusal in error.recipients)
    elif isinstance(error, aiosmtplib.SMTPRecipientRefused | aiosmtplib.SMTPDataError):
        codes = (error.code,)
    if codes and all(500 <= code < 600 for code in codes):
        return MailRefused(reason=f"SMTP {codes[0]}")
    code = f" {error.code}" if isinstance(error, aiosmtplib.SMTPResponseException) else ""
    return MailUnavailable(reason=f"{type(error).__name__}{code}")
