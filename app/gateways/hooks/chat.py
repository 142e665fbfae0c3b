"""The notification webhook, in the shape its host understands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import urlsplit

from app.gateways.hooks.gateway import (
    ChatNote,
    ChatRefused,
    ChatUnavailable,
    HookGateway,
    HookUnavailable,
)

_SLACK = "hooks.slack.com"
_DISCORD = ("discord.com", "discordapp.com")
_SLACK_LETTERS = 3000
_DISCORD_LETTERS = 2000
_LATER = frozenset({408, 425, 429})


class ChatWebhook:
    """Posts to one address: as Slack or Discord want it, by its host, else as plain JSON."""

    def __init__(self, url: str, hooks: HookGateway) -> None:
        self._url = url
        self._host = (urlsplit(url).hostname or "").lower()
        self._hooks = hooks

    @property
    def place(self) -> str:
        return self._host

    async def post(self, note: ChatNote) -> None:
        body = json.dumps(self._shaped(note), ensure_ascii=False).encode()
        try:
            answer = await self._hooks.post(self._url, body, {"Content-Type": "application/json"})
        except HookUnavailable as error:
            raise ChatUnavailable(reason=str(error.context["reason"])) from error
        if answer.is_success:
            return
        if 400 <= answer.status < 500 and answer.status not in _LATER:
            raise ChatRefused(reason=f"HTTP {answer.status}")
        raise ChatUnavailable(reason=f"HTTP {answer.status}")

    def _shaped(self, note: ChatNote) -> Mapping[str, object]:
        if self._host == _SLACK:
            return {
                "text": f"*{_for_slack(note.subject)}*\n{_for_slack(note.text)}"[:_SLACK_LETTERS]
            }
        if self._host in _DISCORD or self._host.endswith(tuple(f".{host}" for host in _DISCORD)):
            return {
                "content": f"**{note.subject}**\n{note.text}"[:_DISCORD_LETTERS],
                # Nobody's name pings a whole server.
                "allowed_mentions": {"parse": []},
            }
        return {
            "kind": note.kind,
            "subject": note.subject,
            "text": note.text,
            "reference": note.reference,
        }


def _for_slack(text: str) -> str:
    """Slack's three letters that are markup; with them come mentions and disguised links."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
