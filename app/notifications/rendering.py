"""From a letter to a mail. One template says it: a subject, an empty line, then paragraphs.

In the page a paragraph that begins with four spaces is a code to copy, and one that is nothing
but an address is a link.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from app.gateways.hooks.gateway import ChatNote
from app.gateways.mail.gateway import Mail
from app.notifications.domain import Audience, Letter, NoticeKind, Told
from app.notifications.kinds import RULES, WHY

_LONGEST_VALUE = 300
_LONGEST_LINK = 2000
_LINK = re.compile(r"https?://[^\s<>\"']+")
_CODE = "    "


@dataclass(frozen=True, slots=True)
class Written:
    """What a template came to."""

    subject: str
    paragraphs: tuple[str, ...]


class Renderer:
    """Writes letters. No value is markup, and none can begin a paragraph of its own."""

    def __init__(
        self, base_url: str, seller: str, contact: str, app_url: str | None = None
    ) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals = {
            **_places(base_url, app_url),
            "seller": seller,
            "contact": contact,
        }
        self._seller = seller

    def mail(self, told: Told, letter: Letter, unsubscribe_url: str | None = None) -> Mail:
        """The mail of a notice. Its reference is the cause: a repeat has the same Message-ID."""
        written = self.write(told.kind, letter)
        why = self._why(told, letter)
        greeting = f"Hello {_one_line(letter.name)}," if letter.name is not None else "Hello,"
        paragraphs = (greeting, *written.paragraphs)
        footer = [why, self._seller]
        if unsubscribe_url is not None:
            footer.insert(1, f"No more mails like this: {unsubscribe_url}")
        text = "\n\n".join([*paragraphs, "-- \n" + "\n".join(footer) + "\n"])
        page = self._environment.get_template("letter.html").render(
            subject=written.subject,
            paragraphs=[_shown(each) for each in paragraphs],
            why=why,
            unsubscribe_url=unsubscribe_url,
        )
        return Mail(letter.to, written.subject, text, page, told.cause, unsubscribe_url)

    def note(self, told: Told, letter: Letter) -> ChatNote:
        """The notice for a room full of people: no greeting, and no code (see `kinds.py`)."""
        written = self.write(told.kind, letter)
        text = "\n\n".join(written.paragraphs)
        return ChatNote(told.kind.value, written.subject, text, reference=told.cause)

    def write(self, kind: NoticeKind, letter: Letter) -> Written:
        template = self._environment.get_template(f"{kind.value}.txt")
        subject, *paragraphs = template.render(_clean(letter)).strip("\n").split("\n\n")
        return Written(
            " ".join(subject.split()),
            tuple(_paragraph(each) for each in paragraphs if each.strip()),
        )

    def _why(self, told: Told, letter: Letter) -> str:
        why = RULES[told.kind].why
        if why is None:
            is_theirs = told.organization_id is not None
            why = WHY[Audience.KEEPERS if is_theirs else Audience.OPERATORS]
        return self._environment.from_string(why).render(_clean(letter))


def _places(base_url: str, app_url: str | None) -> dict[str, object]:
    """Where templates may send people: to a page of theirs if there is one, else to a call.

    An address in the API is never given as a link to look at, except of a document, which is a
    page for who is signed in.
    """

    def where(method: str, path: str) -> str:
        return f": {method} {base_url}/api/v1/{path}." if app_url is None else f":\n\n{app_url}"

    def see(what: str) -> str:
        return "" if app_url is None else f"See {what}:\n\n{app_url}"

    def document(invoice_id: str, what: str = "html") -> str:
        page = f"{base_url}/api/v1/billing/invoices/{invoice_id}/{what}"
        return f"To be seen by who is signed in:\n\n{app_url or page}"

    return {
        "base_url": base_url,
        "app_url": app_url,
        "where": where,
        "see": see,
        "document": document,
    }


def _clean(letter: Letter) -> dict[str, object]:
    return {
        name: _link(value) if name.endswith("_url") else _one_line(value)
        for name, value in letter.context.items()
    }


def _one_line(value: object) -> object:
    return " ".join(value.split())[:_LONGEST_VALUE] if isinstance(value, str) else value


def _link(value: object) -> str | None:
    """An address as it is, or nothing: half of one leads nowhere."""
    if not isinstance(value, str) or len(value) > _LONGEST_LINK or not _LINK.fullmatch(value):
        return None
    return value


def _paragraph(text: str) -> str:
    text = text.strip("\n")
    return text if text.startswith(_CODE) else " ".join(text.split())


def _shown(paragraph: str) -> dict[str, str]:
    if paragraph.startswith(_CODE):
        return {"as": "code", "text": paragraph.strip()}
    return {"as": "link" if _LINK.fullmatch(paragraph) else "text", "text": paragraph}
