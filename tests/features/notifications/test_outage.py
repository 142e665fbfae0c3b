"""A mail server that is away, and an API that does not notice."""

from __future__ import annotations

import ast
import asyncio
from collections import Counter
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP as Server  # noqa: N811
from sqlalchemy import URL, select, text

from app.gateways.mail.gateway import Mail, MailGateway
from app.infra.http.provide import Services
from app.jobs import build_worker
from app.kernel.clock import ManualClock
from app.kernel.ids import new_id
from app.notifications.models import Notice
from app.payments.events import RefundMade
from tests.conftest import START
from tests.factories.people import an_owner
from tests.gateways.test_mail import Inbox
from tests.support.long import LONG
from tests.support.service import Service, running

APP = Path(__file__).resolve().parents[3] / "app"
NOTICES = 100


class Post:
    """A mail server that can be away: nobody listens on its port then."""

    def __init__(self) -> None:
        self.inbox = Inbox()
        self.port = 0
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Server(self.inbox, hostname="localhost", loop=loop), "localhost", self.port
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()


async def drained_by_two(service: Service) -> None:
    """Everything due is done by two workers at once."""
    async with service.work.begin_platform() as session:
        await session.execute(
            text(
                "update pgqueuer set execute_after = now() where status = 'queued'"
                " and (headers ->> 'due_at')::timestamptz <= :now"
            ),
            {"now": service.clock.now()},
        )
    await asyncio.gather(*(build_worker(service.services).drain() for _ in range(2)))


@LONG
async def test_a_hundred_notices_outlive_a_minute_without_a_server(fresh_url: URL) -> None:
    """Each arrives once; those whose address is refused are dead letters, once."""
    post, clock = Post(), ManualClock(START)
    await post.open()
    async with running(fresh_url, clock, smtp_host="localhost", smtp_port=post.port) as service:
        owner, gone = await an_owner(service), await an_owner(service)
        await service.drain()
        post.inbox.messages.clear()
        post.inbox.refusals = {gone.email: "550 no such user"}
        await post.close()

        went_away_at = clock.now()
        for of in [owner.organization_id] * NOTICES + [gone.organization_id] * 3:
            async with service.work.begin(of):
                service.work.announce(RefundMade(of, new_id(), 100, "usd"))
        while clock.now() - went_away_at < timedelta(seconds=60):
            await drained_by_two(service)
            clock.advance(seconds=15)
        assert post.inbox.messages == []

        await post.open()
        while clock.now() - went_away_at < timedelta(minutes=10):
            await drained_by_two(service)
            clock.advance(minutes=1)
        await post.close()

        ids = Counter(str(message["Message-ID"]) for message in post.inbox.messages)
        assert len(ids) == NOTICES
        assert set(ids.values()) == {1}
        assert {message["To"] for message in post.inbox.messages} == {owner.email}
        async with service.work.begin_platform() as session:
            rows = (await session.scalars(select(Notice).where(Notice.kind == "refund_made"))).all()
        states = Counter((row.organization_id, row.state) for row in rows)
        assert states == {
            (owner.organization_id, "sent"): NOTICES,
            (gone.organization_id, "refused"): 3,
        }
        assert all(row.attempts > 1 for row in rows)


class NeverMail:
    """A mail server that takes the call and never answers."""

    def __init__(self) -> None:
        self.calls = 0

    async def send(self, mail: Mail) -> None:
        self.calls += 1
        await asyncio.Event().wait()


async def test_no_request_waits_for_mail(fresh_url: URL) -> None:
    """Whatever makes a mail only asks for it: the server is not called until a job runs."""
    mail = NeverMail()

    def never(services: Services) -> None:
        services.add(MailGateway, mail)  # type: ignore[type-abstract]

    async with running(fresh_url, ManualClock(START), replace=never) as service:
        async with asyncio.timeout(60):
            owner = await an_owner(service, plan="professional")
            client = owner.client
            answers = [
                await client.post("/api/v1/auth/password/forgot", json={"email": owner.email}),
                await client.post(
                    f"/api/v1/organizations/{owner.id}/invites",
                    json={"email": "guest@example.com", "role": "member"},
                ),
                await client.post(
                    "/api/v1/auth/password/change",
                    json={"current_password": owner.password, "new_password": "another-long-one"},
                ),
            ]
        assert all(answer.is_success for answer in answers), [a.text for a in answers]
        assert mail.calls == 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await service.drain()
        assert mail.calls > 0


@cache
def imports_of(path: Path) -> set[str]:
    """Modules that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return found


def who_imports(module: str) -> set[str]:
    return {
        str(path.relative_to(APP))
        for path in APP.rglob("*.py")
        if any(name == module or name.startswith(f"{module}.") for name in imports_of(path))
    }


def test_mail_and_hooks_leave_from_jobs_alone() -> None:
    """From a router no chain of calls leads to a mail server: only delivery holds the gateway,
    and only jobs hold delivery. Endpoints are checked by requests, and posted to by jobs."""
    assert {
        name for name in who_imports("app.gateways.mail.gateway") if not name.startswith("gateways")
    } == {
        "notifications/rendering.py",
        "notifications/service/delivery.py",
        "notifications/wiring.py",
    }
    senders = who_imports("app.notifications.service.delivery") | who_imports(
        "app.notifications.service.posting"
    )
    assert senders == {
        "notifications/jobs.py",
        "notifications/wiring.py",
        "notifications/service/looking.py",
        "notifications/service/telling.py",
    }
    for name in ("looking", "telling"):
        # They name the job and nothing else.
        source = (APP / "notifications" / "service" / f"{name}.py").read_text()
        assert "service.delivery import DELIVER\n" in source
