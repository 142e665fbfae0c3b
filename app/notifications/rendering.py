"""From a letter to a mail: a text template, an HTML template, and a subject on the first line."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from app.gateways.mail.gateway import Mail
from app.notifications.domain import Cause, Letter

_LONGEST_VALUE = 300


class Renderer:
    """Renders letters. In HTML every value is escaped; in text none can begin a line of its own."""

    def __init__(self, base_url: str, seller: str) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._environment.globals = {"base_url": base_url, "seller": seller}

    def render(self, cause: Cause, letter: Letter) -> Mail:
        name = cause.kind.value
        context = {key: _one_line(value) for key, value in letter.context.items()}
        subject, _, text = (
            self._environment.get_template(f"{name}.txt").render(context).partition("\n\n")
        )
        html = self._environment.get_template(f"{name}.html").render(context, subject=subject)
        return Mail(letter.to, subject, text, html, reference=cause.key)


def _one_line(value: object) -> object:
    return " ".join(value.split())[:_LONGEST_VALUE] if isinstance(value, str) else value
