"""The short way to read an event makes of it exactly what the long way makes, or leaves it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from app.kernel.errors import BillingError
from app.usage.domain import NewEvent
from app.usage.wire import events as wire
from app.usage.wire.quick import quick_batch, quick_event

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=0, max_size=5) | st.sampled_from(
    ["debate", "x" * 200, "x" * 201, "é" * 200, "☃" * 201]
)
COUNTS = st.integers(-1, 10) | st.sampled_from([10**12, 10**12 + 1, True, 1.0, 2.5, "3"])
FIGURES = (
    st.decimals(allow_nan=True, allow_infinity=True).map(str)
    | st.decimals(0, 10**6, places=3).map(str)
    | st.integers(-1, 10**16)
    | st.floats(0, 1e17)
    | st.sampled_from(["1.50", "1.5000", "0.0000000000001", "1e3", "1E+14", "-0", " 1", "1_0", "٣"])
)
INSTANTS = (
    st.builds(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}{}".format,
        st.integers(1995, 2205),
        st.integers(1, 13),
        st.integers(1, 31),
        st.integers(0, 24),
        st.integers(0, 59),
        st.integers(0, 60),
        st.sampled_from(["", ".0", ".1", ".120", ".000000", ".123456", ".1234567", ".9999999"]),
        st.sampled_from(["Z", "+00:00", "-00:00", "+01:00", "-23:59", "+24:00", "z", "", "+0100"]),
    )
    | st.sampled_from(["2026-11-21", "2026-11-21 09:00:00Z", "2026-W47-6T09:00:00Z", "1", ""])
    | st.integers(0, 10)
)
FREE = st.dictionaries(st.text(max_size=2), st.integers() | st.text(max_size=2), max_size=2)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "id": NAMES | st.integers(0, 1),
    "type": NAMES,
    "quantity": FIGURES,
    "occurred_at": INSTANTS,
    **dict.fromkeys(("provider", "model", "debate_id", "agent", "workspace", "user_id"), NAMES),
    "request_type": NAMES,
    "tokens_in": COUNTS,
    "tokens_out": COUNTS,
    "cached_tokens": COUNTS,
    "cache_write_tokens": COUNTS,
    "reasoning_tokens": COUNTS,
    "rounds": st.integers(-1, 3) | st.just(1_000_001),
    "latency_ms": FIGURES,
    "metadata": FREE,
    "raw_usage": FREE,
    "surprise": st.just(1),
}
MEMBERS = st.sampled_from(sorted(VALUES)).flatmap(
    lambda name: st.tuples(st.just(name), VALUES[name] | st.none())
)
EVENTS = st.lists(MEMBERS, max_size=4).map(lambda each: {"id": "a", "type": "debate", **dict(each)})


def long_way(body: bytes, fallback_id: str | None) -> NewEvent | str:
    try:
        return wire.event_of(wire.EVENT.validate_json(body), fallback_id)
    except (ValidationError, BillingError) as refusal:
        return type(refusal).__name__


@given(EVENTS, st.sampled_from([None, "from-the-header"]), st.booleans())
@example({"id": "a", "type": "b", "occurred_at": "2026-11-21T09:00:00.1+01:00"}, None, False)
@example({"id": "a", "type": "b", "quantity": 12345678901234.5678}, None, False)
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
def test_both_ways_make_the_same_of_an_event(
    event: dict[str, Any], fallback_id: str | None, escaped: bool
) -> None:
    body = json.dumps(event, ensure_ascii=escaped).encode()
    quick = quick_event(body, fallback_id)
    if quick is not None:
        assert quick == long_way(body, fallback_id)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "debate"},
        {"type": "tokens", "tokens_in": 7, "tokens_out": 3, "cached_tokens": 7},
        {"type": "tokens", "occurred_at": "2026-11-21T09:00:00.250+01:00", "quantity": 1.5},
        {"type": "tts", "latency_ms": 12.50, "agent": "critic", "provider": None},
    ],
)
def test_what_events_look_like_is_taken(event: dict[str, Any]) -> None:
    body = json.dumps({"id": "a", **event}).encode()
    assert quick_event(body, None) == long_way(body, None)
    rows = b'{"events":[%s,%s]}' % (body, body)
    assert quick_batch(rows) == (["a", "a"], [long_way(body, None)] * 2)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"id":"a"}',
        b'{"type":"debate"}',
        b'{"id":"a","type":"debate","metadata":{}}',
        b'{"id":"a","type":"debate","payload":"x"}',
        b'{"id":"a","type":"debate","tokens_in":1,"cached_tokens":2}',
        b'{"id":"a","type":"debate","tokens_out":1,"reasoning_tokens":2}',
        b'{"id":"\xff","type":"debate"}',
        rb'{"id":"\ud800","type":"debate"}',
        b'{"id":"a","type":"debate","occurred_at":"2026-11-21T09:00:00"}',
        b'{"id":"a","type":"debate","occurred_at":"0001-01-01T00:00:00+23:00"}',
    ],
)
def test_everything_else_is_left(body: bytes) -> None:
    assert quick_event(body, None) is None
    assert quick_batch(b'{"events":[%s]}' % body) is None


def test_a_batch_with_one_that_is_left_is_left() -> None:
    fine, other = b'{"id":"a","type":"debate"}', b'{"id":"b","type":"debate","metadata":{"a":1}}'
    assert quick_batch(b'{"events":[%s,%s]}' % (fine, other)) is None
    assert quick_batch(b'{"events":[]}') is None
    assert quick_batch(b'{"events":[%s]}' % b",".join([fine] * 1001)) is None


def test_of_a_member_that_comes_twice_both_ways_take_the_last() -> None:
    body = b'{"id":"a","type":"debate","agent":"x","agent":"y"}'
    assert quick_event(body, None) == long_way(body, None)


def test_zeros_at_the_end_are_not_other_content() -> None:
    for name in ("quantity", "latency_ms"):
        texts = ("1.5", '"1.50"', "1.500")
        payloads = {
            read.payload
            for text in texts
            for extra in (b"", b',"metadata":{"a":1}')
            if (
                read := wire.read_event(
                    b'{"id":"a","type":"tts","%s":%s%s}' % (name.encode(), text.encode(), extra),
                    None,
                )
            )
        }
        assert len(payloads) == 2, "with and without metadata"
