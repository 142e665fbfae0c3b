"""Mail leaves by a real SMTP server, or stays in a folder where it can be read."""

from __future__ import annotations

import asyncio
import ssl
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP as Server  # noqa: N811
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.gateways.mail.gateway import Mail, MailGateway, MailRefused, MailUnavailable
from app.gateways.mail.memory import MemoryMail
from app.gateways.mail.outbox import KEPT, OutboxMail
from app.gateways.mail.smtp import SmtpMail, SmtpServer
from app.infra.db.unit_of_work import GatewayInsideUnit, UnitOfWork
from app.kernel.clock import ManualClock
from app.kernel.ids import OrganizationId, new_id

SENDER = "billing@example.test"
MAIL = Mail(
    to="ada@example.test",
    subject="Rechnung für Žofia · 請求書",
    text="Grüße",
    html="<p>Grüße</p>",
    reference="invoice:1",
)


@dataclass
class Inbox:
    """A server's handler: keeps messages, refuses whoever it was told to."""

    messages: list[EmailMessage] = field(default_factory=list)
    was_encrypted: list[bool] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)

    async def handle_RCPT(  # noqa: N802
        self, server: Server, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Server, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert envelope.content is not None
        content = envelope.content
        self.messages.append(
            message_from_bytes(
                content if isinstance(content, bytes) else content.encode(),
                _class=EmailMessage,
                policy=SMTP,
            )
        )
        self.was_encrypted.append(session.ssl is not None)
        return "250 OK"


def check_password(
    server: Server, session: Session, envelope: Envelope, mechanism: str, data: object
) -> AuthResult:
    assert isinstance(data, LoginPassword)
    # handled=False, or aiosmtpd leaves the client waiting for an answer.
    return AuthResult(success=data.password == b"right", handled=False)


@dataclass
class Tls:
    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """A certificate for localhost, and a client that trusts nothing else."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=365 * 100))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    client = ssl.create_default_context(
        cadata=certificate.public_bytes(serialization.Encoding.PEM).decode()
    )
    return Tls(server, client)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


async def serving(inbox: Inbox, **options: Any) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Server(inbox, hostname="localhost", loop=loop, **options), "localhost", 0
    )
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
async def secure_port(inbox: Inbox, tls: Tls) -> AsyncIterator[int]:
    async for port in serving(
        inbox,
        tls_context=tls.server,
        require_starttls=True,
        authenticator=check_password,
        auth_required=True,
    ):
        yield port


@pytest.fixture
async def plain_port(inbox: Inbox) -> AsyncIterator[int]:
    async for port in serving(inbox):
        yield port


def smtp(
    port: int,
    clock: ManualClock,
    tls: ssl.SSLContext | None = None,
    password: str | None = None,
) -> SmtpMail:
    server = SmtpServer("localhost", port, SENDER, "postman" if password else None, password)
    return SmtpMail(server, clock, tls=tls, timeout_seconds=5)


async def test_mail_is_delivered_over_starttls_with_a_password(
    inbox: Inbox, secure_port: int, tls: Tls, clock: ManualClock
) -> None:
    await smtp(secure_port, clock, tls.client, "right").send(MAIL)
    (message,) = inbox.messages
    assert inbox.was_encrypted == [True]
    assert message["From"] == SENDER
    assert message["To"] == MAIL.to
    assert message["Subject"] == MAIL.subject
    assert message["Date"].datetime == clock.now()
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().strip() == "Grüße"
    assert html.get_content().strip() == "<p>Grüße</p>"


async def test_the_same_cause_has_the_same_message_id(
    inbox: Inbox, plain_port: int, clock: ManualClock
) -> None:
    gateway = smtp(plain_port, clock)
    other = Mail(MAIL.to, "s", "t", "h", reference="invoice:2")
    for mail in (MAIL, MAIL, other):
        await gateway.send(mail)
    first, second, third = (str(message["Message-ID"]) for message in inbox.messages)
    assert first == second != third
    assert first.endswith("@example.test>")


async def test_the_address_to_unsubscribe_travels_as_it_is(
    inbox: Inbox, plain_port: int, clock: ManualClock
) -> None:
    raw: list[bytes] = []
    keep = inbox.handle_DATA

    async def keeping(server: Server, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        raw.append(envelope.content)
        return await keep(server, session, envelope)

    inbox.handle_DATA = keeping  # type: ignore[method-assign]
    url = f"https://billing.example.test/unsubscribe?token={'a1-_.' * 80}"
    await smtp(plain_port, clock).send(replace(MAIL, unsubscribe_url=url))
    await smtp(plain_port, clock).send(MAIL)
    assert f"\r\nList-Unsubscribe: <{url}>\r\n".encode() in raw[0]
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in raw[0]
    assert b"List-Unsubscribe" not in raw[1]
    assert max(len(line) for content in raw for line in content.split(b"\r\n")) <= 998


async def test_a_wrong_password_may_work_later(
    inbox: Inbox, secure_port: int, tls: Tls, clock: ManualClock
) -> None:
    with pytest.raises(MailUnavailable) as caught:
        await smtp(secure_port, clock, tls.client, "wrong").send(MAIL)
    assert "535" in caught.value.message
    assert "wrong" not in caught.value.message
    assert inbox.messages == []


async def test_an_unknown_certificate_is_not_trusted(
    inbox: Inbox, secure_port: int, clock: ManualClock
) -> None:
    with pytest.raises(MailUnavailable):
        await smtp(secure_port, clock, None, "right").send(MAIL)
    assert inbox.messages == []


async def test_a_password_never_travels_unencrypted(inbox: Inbox, clock: ManualClock) -> None:
    heard: list[object] = []

    def listening(*anything: object) -> AuthResult:
        heard.append(anything)
        return AuthResult(success=True)

    # A server, or whoever sits before it, that offers a login and no encryption.
    async for port in serving(inbox, authenticator=listening, auth_require_tls=False):
        with pytest.raises(MailUnavailable):
            await smtp(port, clock, None, "right").send(MAIL)
    assert heard == []
    assert inbox.messages == []


async def test_a_refused_recipient_is_refused_for_good_and_a_busy_one_is_not(
    inbox: Inbox, plain_port: int, clock: ManualClock
) -> None:
    inbox.refusals = {"gone@example.test": "550 no such user", "full@example.test": "452 full"}
    gateway = smtp(plain_port, clock)
    with pytest.raises(MailRefused):
        await gateway.send(Mail("gone@example.test", "s", "t", "h"))
    with pytest.raises(MailUnavailable):
        await gateway.send(Mail("full@example.test", "s", "t", "h"))


async def test_nobody_listening_is_unavailable(clock: ManualClock) -> None:
    with pytest.raises(MailUnavailable):
        await smtp(1, clock).send(MAIL)


@pytest.mark.parametrize(
    "address", ["", "ada", "a@b.test\nBcc: eve@example.test", "a@b.test, eve@example.test", "<@>"]
)
async def test_what_is_no_address_is_refused(
    address: str, inbox: Inbox, plain_port: int, clock: ManualClock
) -> None:
    with pytest.raises(MailRefused):
        await smtp(plain_port, clock).send(Mail(address, "s", "t", "h"))
    assert inbox.messages == []


async def test_a_line_break_in_a_subject_adds_no_header(
    inbox: Inbox, plain_port: int, clock: ManualClock
) -> None:
    subject = "Hello\r\nBcc: eve@example.test\r\n\r\nBody"
    await smtp(plain_port, clock).send(Mail(MAIL.to, subject, "t", "h"))
    (message,) = inbox.messages
    assert message["Bcc"] is None
    assert message["Subject"] == "Hello Bcc: eve@example.test Body"


async def test_the_outbox_keeps_mails_newest_first_for_their_owner_only(
    tmp_path: Path, clock: ManualClock
) -> None:
    folder = tmp_path / "outbox"
    outbox = OutboxMail(folder, SENDER, clock)
    assert await outbox.list_newest(10) == []
    await outbox.send(MAIL)
    await outbox.send(Mail("bob@example.test", "Second", "two", "<p>two</p>"))
    second, first = await outbox.list_newest(10)
    assert (first.to, first.subject, first.text.strip()) == (MAIL.to, MAIL.subject, "Grüße")
    assert second.to == "bob@example.test"
    assert second.sent_at == clock.now()
    assert [mail.name for mail in await outbox.list_newest(1)] == [second.name]
    files = list(folder.iterdir())
    assert {path.suffix for path in files} == {".eml"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_the_outbox_forgets_the_oldest(tmp_path: Path, clock: ManualClock) -> None:
    for number in range(KEPT + 5):
        (tmp_path / f"00000000-{number:04}.eml").write_bytes(b"Subject: old\r\n\r\nold")
    await OutboxMail(tmp_path, SENDER, clock).send(MAIL)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert len(left) == KEPT
    assert left[0] == "00000000-0006.eml"


async def test_a_folder_that_cannot_be_written_is_unavailable(
    tmp_path: Path, clock: ManualClock
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(MailUnavailable):
        await OutboxMail(blocked, SENDER, clock).send(MAIL)


async def test_no_gateway_sends_inside_a_unit(
    tmp_path: Path, work: UnitOfWork, clock: ManualClock
) -> None:
    gateways: list[MailGateway] = [
        smtp(1, clock),
        OutboxMail(tmp_path, SENDER, clock),
        MemoryMail(),
    ]
    async with work.begin(OrganizationId(new_id())):
        for gateway in gateways:
            with pytest.raises(GatewayInsideUnit):
                await gateway.send(MAIL)
    assert list(tmp_path.iterdir()) == []
