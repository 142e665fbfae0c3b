"""Pays on the hosted checkout page as a browser would: read the form, press the button."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx


@dataclass
class Form:
    """A form of a page: where it goes, what it already holds, and what its button says."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    label: str = ""


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._in_button = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(given.get("action", ""), given.get("method", "get").lower()))
        elif not self.forms:
            return
        elif tag == "input" and "name" in given:
            chosen = given.get("type") not in {"radio", "checkbox"} or "checked" in given
            if chosen:
                self.forms[-1].fields[given["name"]] = given.get("value", "")
        elif tag == "button":
            self._in_button = True
            if "name" in given and not self.forms[-1].label:
                self.forms[-1].fields[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "button":
            self._in_button = False

    def handle_data(self, data: str) -> None:
        if self._in_button and self.forms:
            self.forms[-1].label += data.strip()


class NoPayButton(RuntimeError):
    """The checkout page has no form with a button that says Pay."""


async def pay(url: str) -> str:
    """Open the page at *url*, press Pay, and return where the page sends the browser."""
    async with httpx.AsyncClient(timeout=30) as browser:
        page = await browser.get(url)
        page.raise_for_status()
        reader = _Forms()
        reader.feed(page.text)
        form = next((form for form in reader.forms if form.label.lower().startswith("pay")), None)
        if form is None:
            raise NoPayButton(NoPayButton.__doc__)
        answer = await browser.post(urljoin(str(page.url), form.action), data=form.fields)
        if not answer.is_redirect:
            answer.raise_for_status()
        return str(answer.headers.get("location", ""))
