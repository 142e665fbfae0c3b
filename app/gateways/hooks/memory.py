"""Hooks that stay in the process, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.gateways.hooks.gateway import Answer, ChatNote, ChatRefused, ChatUnavailable
from app.infra.db.unit_of_work import refuse_inside_unit


@dataclass(frozen=True, slots=True)
class Posted:
    """A call that was made."""

    url: str
    body: bytes
    headers: Mapping[str, str]


class MemoryHooks:
    """Keeps what it was given and answers 200. `answers` come first, first one first; an error
    among them is raised."""

    def __init__(self) -> None:
        self.posted: list[Posted] = []
        self.answers: list[Answer | Exception] = []

    def check(self, url: str) -> None:
        return None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        refuse_inside_unit()
        self.posted.append(Posted(url, body, headers))
        answer = self.answers.pop(0) if self.answers else Answer(200, "ok")
        if isinstance(answer, Exception):
            raise answer
        return answer


class MemoryChat:
    """Keeps notes. `failures` are raised, first one first, before anything is kept."""

    place = "chat.example.test"

    def __init__(self) -> None:
        self.notes: list[ChatNote] = []
        self.failures: list[ChatUnavailable | ChatRefused] = []

    async def post(self, note: ChatNote) -> None:
        refuse_inside_unit()
        if self.failures:
            raise self.failures.pop(0)
        self.notes.append(note)
