"""Signatures answer as the SDK's do (checked against it here), but not for the future."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import stripe

from app.webhooks.errors import SignatureRefused
from app.webhooks.signature import verify
from tests.support.stripe_events import signature

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
BODY = b'{"id":"evt_test","object":"event","type":"invoice.paid","amount":"\xc3\xa9"}'
SECRETS = ["whsec_new", "whsec_old"]


def accepts(header: str | None, body: bytes = BODY, secrets: list[str] = SECRETS) -> bool:
    try:
        verify(body, header, secrets, NOW)
    except SignatureRefused:
        return False
    return True


def test_the_vector_that_stripes_two_sdks_agree_on() -> None:
    at = datetime.fromtimestamp(1_700_000_000, UTC)
    header = "t=1700000000,v1=356d3235937556887a056858a601c176ca83bb5d934a5b664ac4fa7ea93ead43"
    verify(BODY, header, ["whsec_test"], at)
    generated = stripe.WebhookSignature.generate_signature_header(
        BODY.decode(), "whsec_test", 1_700_000_000
    )
    assert signature(BODY, at, "whsec_test") == generated


def test_either_secret_and_either_position_will_do() -> None:
    assert accepts(signature(BODY, NOW, "whsec_new"))
    assert accepts(signature(BODY, NOW, "whsec_old"))
    assert accepts(signature(BODY, NOW, "whsec_strange", "whsec_old"))
    assert accepts(signature(BODY, NOW, "whsec_new") + ",v0=ab")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-301, False), (-300, True), (-299, True), (0, True), (299, True), (300, True), (301, False)],
)
def test_five_minutes_either_way(seconds: int, expected: bool) -> None:
    assert accepts(signature(BODY, NOW + timedelta(seconds=seconds), "whsec_new")) is expected


GOOD = signature(BODY, NOW, "whsec_new")
TIME, SIGNED = GOOD.split(",")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "garbage",
        "=,=,=",
        TIME,
        SIGNED,
        f"{TIME}, {SIGNED}",
        f"t=,{SIGNED}",
        f"t=now,{SIGNED}",
        f"t=-1,{SIGNED}",
        f"t=1e9,{SIGNED}",
        f"t=١٢٣,{SIGNED}",
        f"t={'9' * 5000},{SIGNED}",
        GOOD.replace("v1=", "v0="),
        f"{TIME},v1=",
        f"{TIME},v1=é",
        signature(BODY, NOW, "whsec_strange"),
        signature(BODY, NOW, ""),
    ],
)
def test_what_vouches_for_nothing_is_refused(header: str | None) -> None:
    assert not accepts(header)


def test_the_bytes_count_not_their_meaning() -> None:
    assert accepts(GOOD)
    assert not accepts(GOOD, BODY + b" ")


def test_without_secrets_nothing_is_vouched_for() -> None:
    assert not accepts(GOOD, secrets=[])


T = int(NOW.timestamp())
V1 = SIGNED
TABLE = {
    "two v1, ours second": f"t={T},v1={'0' * 64},{V1}",
    "two v1, ours first": f"t={T},{V1},v1={'0' * 64}",
    "only v0": f"t={T},{V1.replace('v1=', 'v0=')}",
    "v0 and v1": f"t={T},v0={'0' * 64},{V1}",
    "301 s old": signature(BODY, NOW - timedelta(seconds=301), "whsec_new"),
    "299 s old": signature(BODY, NOW - timedelta(seconds=299), "whsec_new"),
    "a space after the comma": f"t={T}, {V1}",
    "missing": "",
    "garbage": "garbage",
    "no t": V1,
    "wrong secret": signature(BODY, NOW, "whsec_strange"),
    "empty secret": signature(BODY, NOW, ""),
    "upper case": f"t={T},{V1.upper().replace('V1', 'v1')}",
    "t twice": f"t={T},t={T},{V1}",
    "an unknown scheme too": f"t={T},v2=ab,{V1}",
}


@pytest.mark.parametrize("header", TABLE.values(), ids=TABLE)
def test_the_sdk_answers_the_same(header: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: float(T))
    try:
        stripe.WebhookSignature.verify_header(BODY.decode(), header, "whsec_new", tolerance=300)
        expected = True
    except stripe.SignatureVerificationError:
        expected = False
    assert accepts(header, secrets=["whsec_new"]) is expected


def test_the_one_difference_is_the_future(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: float(T))
    tomorrow = signature(BODY, NOW + timedelta(days=1), "whsec_new")
    stripe.WebhookSignature.verify_header(BODY.decode(), tomorrow, "whsec_new", tolerance=300)
    assert not accepts(tomorrow)
