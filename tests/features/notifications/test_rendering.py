"""What the mails say, and that no name is markup or a line of its own."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from app.kernel.ids import new_id
from app.notifications.domain import Cause, Letter, NoticeKind
from app.notifications.rendering import Renderer

BASE = "https://billing.example.test"
CONTEXT = {
    "name": "Ada Lovelace",
    "token": "tok_0123456789",
    "inviter": "Ada Lovelace",
    "organization": "Analytical Engines",
    "role": "admin",
    "provider": "acme",
    "model": "nova",
    "events": "7",
    "budget": "Engineering",
    "budget_id": "bud_0123456789",
    "percent": "90",
    "amount": "10",
    "spent": "9",
    "held": "0",
    "since": "2026-11-01",
    "consequence": "Nothing is refused.",
}


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert "class" not in dict(attrs), "mail readers drop style sheets"

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(kind: NoticeKind, **changes: str) -> tuple[str, str, Page]:
    letter = Letter("ada@example.test", {**CONTEXT, **changes})
    mail = Renderer(BASE, "Aragora").render(Cause(kind, new_id()), letter)
    return mail.subject, mail.text, Page(mail.html)


@pytest.mark.parametrize("kind", list(NoticeKind))
def test_every_mail_says_the_same_as_text_and_as_page(kind: NoticeKind) -> None:
    subject, text, page = rendered(kind)
    assert subject
    assert "\n" not in subject
    assert BASE in text
    assert BASE in page.text
    assert "{{" not in text + page.text
    assert (CONTEXT["token"] in text) is (CONTEXT["token"] in page.text)
    assert "-- \n" in text
    assert page.tags <= {
        *("html", "head", "meta", "title", "body", "table", "tr", "td", "p", "code")
    }


@pytest.mark.parametrize(
    "kind", [NoticeKind.EMAIL_VERIFICATION, NoticeKind.PASSWORD_RESET, NoticeKind.INVITE]
)
def test_a_mail_with_a_code_shows_it(kind: NoticeKind) -> None:
    _, text, page = rendered(kind)
    assert f"    {CONTEXT['token']}\n" in text
    assert CONTEXT["token"] in page.text


@pytest.mark.parametrize("kind", list(NoticeKind))
@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "{{ 7*7 }}", "a\n\n-- \nNew text", "x" * 5000]
)
def test_no_name_is_markup_or_a_line_of_its_own(kind: NoticeKind, name: str) -> None:
    subject, text, page = rendered(kind, name=name, inviter=name, organization=name)
    assert "script" not in page.tags
    assert "\n" not in subject
    assert "49" not in text.replace("tok_0123456789", "")
    assert "\nNew text" not in text
    assert len(text) < 4000
