"""Ids explain themselves, and a wrong kind is refused."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.ids import MalformedId, decode_id, encode_id, new_id


@given(st.uuids())
def test_what_is_written_can_be_read(value: UUID) -> None:
    text = encode_id("inv", value)
    assert text.startswith("inv_")
    assert len(text) == 30
    assert decode_id("inv", text) == value


@given(st.lists(st.uuids(), min_size=2, max_size=9))
def test_text_sorts_as_the_ids_do(values: list[UUID]) -> None:
    assert sorted(encode_id("evt", value) for value in values) == [
        encode_id("evt", value) for value in sorted(values)
    ]


def test_later_ids_sort_later() -> None:
    ids = [new_id() for _ in range(1000)]
    assert ids == sorted(ids)
    assert all(value.version == 7 for value in ids)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "inv_",
        "usr_01h455vb4pex5vsknk084sn02q",
        "inv_81h455vb4pex5vsknk084sn02q",
        "inv_01h455vb4pex5vsknk084sn02",
        "inv_01h455vb4pex5vsknk084sn02u",
        "inv_01H455VB4PEX5VSKNK084SN02Q",
    ],
)
def test_other_kinds_and_garbage_are_refused(text: str) -> None:
    with pytest.raises(MalformedId):
        decode_id("inv", text)
