"""One is one, in whatever says how many there are."""

import re

import pytest

from app.kernel.errors import BillingError
from app.kernel.words import counted
from app.notifications.domain import Letter, NoticeKind
from app.notifications.rendering import Renderer
from app.organizations.errors import SeatLimitReached
from app.usage.errors import EnvelopeExceeded, QuotaExceeded, UsageUnpriced

ONE_OF_MANY = re.compile(r"\b1 [a-z]+s\b")


def test_the_noun_agrees_with_the_number() -> None:
    found = [counted(number, "event") for number in (0, 1, 2, 2000)]
    assert found == ["0 events", "1 event", "2 events", "2,000 events"]
    assert counted(3, "entry", "entries") == "3 entries"


@pytest.mark.parametrize(
    "error",
    [
        SeatLimitReached(limit=1),
        UsageUnpriced(events=1),
        QuotaExceeded(limit=1, metric="debates", requested=1),
        EnvelopeExceeded(remaining=1, limit=1, metric="debates", requested=1),
    ],
)
def test_a_refusal_over_one_says_so(error: BillingError) -> None:
    assert "1" in error.message
    assert not ONE_OF_MANY.search(error.message)


def test_a_notice_over_one_says_so() -> None:
    context = {
        "organization": "Analytical Engines",
        "percent": "100",
        "used": "1",
        "limit": "1",
        "metric": "debates",
        "resets": "2026-12-01",
        "consequence": "",
    }
    renderer = Renderer("https://billing.test", "Aragora", "help@example.test")
    written = renderer.write(NoticeKind.QUOTA_THRESHOLD, Letter("to@example.test", None, context))
    assert "1 of 1" in written.paragraphs[0]
    assert not ONE_OF_MANY.search(" ".join(written.paragraphs))
