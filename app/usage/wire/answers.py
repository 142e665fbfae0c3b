"""The JSON of the most frequent answers, written straight from what they are made of.

A model that is built, checked and serialized costs ten times as much. The declared response
models still say what is promised, and the tests hold these texts against them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from json.encoder import encode_basestring as quoted

from pydantic_core import to_json

from app.kernel.errors import BillingError
from app.kernel.ids import encode_number
from app.usage.domain import Quota
from app.usage.schemas.usage import rfc3339, whole_or_text
from app.usage.service.submission import Recorded


def recorded_json(name: str, answer: Recorded) -> bytes:
    """`RecordedOut`: what became of the event that its caller calls *name*."""
    status = "duplicate" if answer.is_repeat else "recorded"
    return (
        f'{{"id":{quoted(name)},"event_id":"{encode_number("evt", answer.event_number)}"'
        f',"status":"{status}",{_cost(answer.cost_text)},"quota":{_latest.text_of(answer.quota)}}}'
    ).encode()


def batch_json(names: Sequence[str | None], answers: Sequence[Recorded | BillingError]) -> bytes:
    """`BatchOut`: what became of each event."""
    rows: list[str] = []
    recorded = duplicates = 0
    for name, answer in zip(names, answers, strict=True):
        shown = "null" if name is None else quoted(name)
        if isinstance(answer, Recorded):
            if answer.is_repeat:
                duplicates += 1
                rows.append(f'{{"id":{shown},"status":"duplicate"}}')
            else:
                recorded += 1
                rows.append(f'{{"id":{shown},"status":"recorded"}}')
        else:
            why = to_json({"code": answer.code, "detail": answer.message}).decode()
            rows.append(f'{{"id":{shown},"status":"error","error":{why}}}')
    errors = len(rows) - recorded - duplicates
    return (
        f'{{"recorded":{recorded},"duplicates":{duplicates},"errors":{errors}'
        f',"results":[{",".join(rows)}]}}'
    ).encode()


def quotas_json(quotas: Sequence[Quota]) -> bytes:
    """`QuotasOut`."""
    return f'{{"data":[{",".join([_quota(quota) for quota in quotas])}]}}'.encode()


def _cost(cost: str | None) -> str:
    if cost is None:
        return '"cost_usd":null,"priced":false'
    return f'"cost_usd":"{cost}","priced":true'


def _quota(quota: Quota) -> str:
    return (
        f'{{"metric":{quoted(quota.metric)},"limit":{_number(quota.limit)}'
        f',"used":{_number(quota.used)},"held":{_number(quota.held)}'
        f',"remaining":{_number(quota.remaining)},"resets_at":"{_instant(quota.window.end)}"'
        f',"policy":"{quota.policy.value}"}}'
    )


class _Latest:
    """The text of the latest quota: the answers to one flush mostly share it."""

    def __init__(self) -> None:
        self._quota: Quota | None = None
        self._text = ""

    def text_of(self, quota: Quota) -> str:
        if quota is not self._quota:
            self._quota, self._text = quota, _quota(quota)
        return self._text


_latest = _Latest()


def _number(value: Decimal | None) -> str:
    if value is None:
        return "null"
    text = str(value)
    if text.isdigit():
        return text
    return to_json(whole_or_text(value)).decode()


@lru_cache(maxsize=10_000)
def _instant(value: datetime) -> str:
    return rfc3339(value)
