"""What may be called, with what, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from app.kernel.errors import Refused, Unavailable


class AddressRefused(Refused):
    """That address cannot be called: {reason}."""

    code = "address_refused"
    shown = ("reason",)


class HookUnavailable(Unavailable):
    """The address could not be reached: {reason}."""

    code = "hook_unavailable"


class ChatUnavailable(Unavailable):
    """The notification webhook takes no message just now: {reason}."""

    code = "chat_unavailable"


class ChatRefused(Refused):
    """The notification webhook refuses this message for good: {reason}."""

    code = "chat_refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said; the beginning of its words."""

    status: int
    excerpt: str

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class HookGateway(Protocol):
    """Posts to an address that somebody else chose."""

    def check(self, url: str) -> None:
        """Raises `AddressRefused` for what could never be called, without asking anybody."""
        ...

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post once, to the one place that the host resolves to, following no redirect.

        Any answer is an answer. Raises `HookUnavailable` when there is none, also for a host that
        resolves to an address that may not be called. Refuses to be called inside a unit of work.
        """
        ...


@dataclass(frozen=True, slots=True)
class ChatNote:
    """A notice as a room full of people reads it."""

    kind: str
    subject: str
    text: str
    reference: str
    """The same for a repeat of the same notice."""


class ChatGateway(Protocol):
    """The notification webhook of a deployment."""

    @property
    def place(self) -> str:
        """The host, to be shown; the rest of the address is a secret."""
        ...

    async def post(self, note: ChatNote) -> None:
        """Raises `ChatUnavailable` when trying again may help, `ChatRefused` when it will not."""
        ...
