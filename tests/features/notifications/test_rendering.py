"""What the mails say, and that no name is markup or a line of its own."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from app.gateways.mail.gateway import Mail
from app.kernel.ids import OrganizationId, new_id
from app.notifications.domain import Audience, Letter, NoticeKind, Told
from app.notifications.kinds import RULES
from app.notifications.rendering import Renderer

BASE = "https://billing.example.test"
CONTEXT: dict[str, Any] = {
    "token": "tok_0123456789",
    "inviter": "Ada Lovelace",
    "organization": "Analytical Engines",
    "organization_id": "org_0123456789",
    "role": "admin",
    "provider": "acme",
    "model": "nova",
    "events": "7",
    "budget": "Engineering",
    "budget_id": "bud_0123456789",
    "percent": "90",
    "amount": "10.00 USD",
    "spent": "9",
    "held": "0",
    "since": "2026-11-01",
    "consequence": "Nothing is refused.",
    "attempt": 1,
    "next_attempt": "2026-11-24 09:00 UTC",
    "grace_until": "2026-12-01 09:00 UTC",
    "ended_at": "2026-12-01 09:00 UTC",
    "has_ended": False,
    "trial_end": "2026-12-01 09:00 UTC",
    "ends": False,
    "interval": "month",
    "plan": "professional",
    "pay_url": "https://pay.example.test/i/acct_1/test_YWNj?s=ap&x=1",
    "brand": "visa",
    "last4": "4242",
    "month": "December 2026",
    "invoice_id": "inv_0123456789",
    "number": "A1B2C3-0001",
    "due": None,
    "way": "charge",
    "see_url": "https://pay.example.test/i/acct_1/seen",
    "paid_at": "2026-11-21 09:00 UTC",
    "period": "2026-11-21 to 2026-12-21",
    "reason": "fraudulent",
    "is_inquiry": False,
    "outcome": "the bank has kept the money",
    "metric": "debates",
    "used": "9",
    "limit": "10",
    "resets": "2026-12-01 00:00 UTC",
    "stripe_subscription_id": "sub_1",
    "stripe_invoice_id": "in_1",
    "price_id": "price_1",
    "credit_note_id": "crn_01h455vb4pex5vsknk084sn02q",
    "top_up_id": "top_01h455vb4pex5vsknk084sn02q",
    "expires_at": "2026-12-01 09:00 UTC",
    "host": "hooks.example.test",
    "last_error": "HTTP 500",
    "endpoint_id": "whe_0123456789",
    "is_automatic": True,
    "receipt_url": "https://pay.example.test/i/acct_1/test_YWNj?s=ap&x=1",
    "is_off": True,
}


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str | None] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "a":
            self.links.append(dict(attrs)["href"])
        assert "class" not in dict(attrs), "mail readers drop style sheets"

    def handle_data(self, data: str) -> None:
        self.text += data


def mailed(
    kind: NoticeKind, *, name: str = "Ada Lovelace", app_url: str | None = None, **changes: Any
) -> Mail:
    is_theirs = Audience.KEEPERS in RULES[kind].audience
    told = Told(
        notice_id=new_id(),
        kind=kind,
        cause=f"{kind.value}:1",
        facts={},
        organization_id=OrganizationId(new_id()) if is_theirs else None,
        person_id=None,
        attempt=1,
    )
    letter = Letter("ada@example.test", name, {**CONTEXT, **changes})
    return Renderer(BASE, "Aragora", "help@example.test", app_url).mail(told, letter)


def rendered(kind: NoticeKind, **changes: Any) -> tuple[str, str, Page]:
    mail = mailed(kind, **changes)
    return mail.subject, mail.text, Page(mail.html)


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


@pytest.mark.parametrize("kind", list(NoticeKind))
def test_every_mail_says_the_same_as_text_and_as_page(kind: NoticeKind) -> None:
    subject, text, page = rendered(kind)
    assert subject
    assert "\n" not in subject
    assert "{{" not in text + page.text
    body, _, footer = text.partition("\n\n-- \n")
    assert footer
    shown = words(page.text)
    for word in words(body) + words(footer):
        assert word in shown
    assert "\n\n\n" not in text
    assert page.tags <= {"html", "head", "meta", "title", "body", "table", "tr", "td", "p", "a"}


@pytest.mark.parametrize(
    ("changes", "said", "link"),
    [
        ({"way": "charge"}, "There is nothing to do", CONTEXT["pay_url"]),
        ({"way": "charge", "pay_url": None}, "There is nothing to do", "/inv_0123456789/html"),
        ({"way": "page", "due": "2026-12-21"}, "by 2026-12-21 here:", CONTEXT["pay_url"]),
        ({"way": "page", "pay_url": None}, "that the invoice leads to", "/inv_0123456789/html"),
        ({"way": "transfer", "due": "2026-12-21", "pay_url": None}, "by bank transfer", "/html"),
    ],
)
def test_an_invoice_says_what_is_to_be_done_about_it(
    changes: dict[str, Any], said: str, link: str
) -> None:
    _, text, page = rendered(NoticeKind.INVOICE_READY, **changes)
    assert said in text
    [shown] = [one for one in page.links if one is not None]
    assert shown.endswith(link)
    assert f"\n\n{shown}\n" in text


LEADS = re.compile(r"(\S+)\s+" + re.escape(BASE) + r"/api/v1/(\S+)")


@pytest.mark.parametrize("kind", list(NoticeKind))
@pytest.mark.parametrize("hosted_url", ["https://pay.example.test/i/acct_1/seen", None])
def test_no_link_leads_a_person_to_json(kind: NoticeKind, hosted_url: str | None) -> None:
    """A call of the API is named with its method; an address alone is a page."""
    places: dict[str, Any] = {"pay_url": hosted_url, "see_url": hosted_url}
    text = mailed(kind, **places).text
    for before, path in LEADS.findall(text):
        is_call = before in {"GET", "POST", "PUT", "PATCH"}
        assert is_call or path.endswith(("/html", "=html")), (before, path)
    assert "`" not in text
    at_home = mailed(kind, app_url="https://app.example.test/account", **places)
    if Audience.OPERATORS not in RULES[kind].audience and kind is not NoticeKind.ENDPOINT_DISABLED:
        assert BASE not in at_home.text
        assert BASE not in at_home.html


def test_mails_send_people_to_the_page_where_they_look_after_things() -> None:
    app_url = "https://app.example.test/account"
    for kind in (NoticeKind.PAYMENT_METHOD_EXPIRING, NoticeKind.REFUND_MADE):
        mail = mailed(kind, app_url=app_url)
        assert f"\n\n{app_url}\n" in mail.text
        assert Page(mail.html).links == [app_url]


@pytest.mark.parametrize("kind", [kind for kind in NoticeKind if kind.value.startswith("pay")])
def test_a_payment_is_one_click_away_where_there_is_a_link(kind: NoticeKind) -> None:
    if kind in {NoticeKind.PAYMENT_RECOVERED, NoticeKind.PAYMENT_METHOD_EXPIRING}:
        pytest.skip("there is nothing to pay")
    _, text, page = rendered(kind)
    assert f"\n\n{CONTEXT['pay_url']}\n" in text
    assert page.links == [CONTEXT["pay_url"]]
    _, text, page = rendered(kind, pay_url=None)
    assert page.links == []
    assert "None" not in text
    assert f"{BASE}/api/v1/billing/portal" in text


@pytest.mark.parametrize("pay_url", ["javascript:alert(1)", "https://x.test/" + "a" * 3000, "x y"])
def test_what_is_no_address_is_no_link(pay_url: str) -> None:
    _, text, page = rendered(NoticeKind.PAYMENT_FAILED, pay_url=pay_url)
    assert page.links == []
    assert pay_url not in text


@pytest.mark.parametrize(
    "kind", [NoticeKind.EMAIL_VERIFICATION, NoticeKind.PASSWORD_RESET, NoticeKind.INVITE]
)
def test_a_mail_with_a_code_shows_it(kind: NoticeKind) -> None:
    _, text, page = rendered(kind)
    assert f"    {CONTEXT['token']}\n" in text
    assert CONTEXT["token"] in page.text


def test_further_attempts_say_which_and_the_last_one_says_so() -> None:
    subject, text, _ = rendered(NoticeKind.PAYMENT_FAILED, attempt=3, next_attempt=None)
    assert "attempt 3" in subject
    assert "It will not be tried again by itself." in text


def test_each_audience_hears_why() -> None:
    assert "look after the billing of Analytical Engines" in mailed(NoticeKind.RECEIPT).text
    assert "because you operate this platform" in mailed(NoticeKind.PRICE_UNKNOWN).text


@pytest.mark.parametrize("kind", list(NoticeKind))
@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        "{{ 7*7 }}",
        "a\n\n-- \nNew text",
        "x" * 5000,
        "https://evil.test",
    ],
)
def test_no_name_is_markup_or_a_line_of_its_own(kind: NoticeKind, name: str) -> None:
    subject, text, page = rendered(kind, name=name, inviter=name, organization=name, number=name)
    assert "script" not in page.tags
    assert "\n" not in subject
    assert "49" not in text.replace("tok_0123456789", "")
    assert "\nNew text" not in text
    assert "https://evil.test" not in page.links
    assert len(text) < 4000
