"""Mail that stays in the process, for tests."""

from __future__ import annotations

from app.gateways.mail.gateway import Mail, MailRefused, MailUnavailable
from app.infra.db.unit_of_work import refuse_inside_unit


class MemoryMail:
    """Keeps what it was given. `failures` are raised, first one first, before anything is kept."""

    def __init__(self) -> None:
        self.sent: list[Mail] = []
        self.failures: list[MailUnavailable | MailRefused] = []

    async def send(self, mail: Mail) -> None:
        refuse_inside_unit()
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append(mail)

    def to(self, address: str) -> list[Mail]:
        """What *address* was sent, oldest first."""
        return [mail for mail in self.sent if mail.to == address]
