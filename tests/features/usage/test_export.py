"""Events as files: complete, the same as the list, safe to open, and gentle to everybody else."""

import asyncio
import csv
import gzip
import io
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import URL, event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.kernel.clock import ManualClock
from app.usage.domain import EventFilter
from app.usage.repository import listing
from app.usage.service import export as exporting
from app.usage.service.export import UsageExports
from tests.factories.people import Owner, an_owner
from tests.support.process import Process
from tests.support.service import Service

EXPORT = "/api/v1/usage/events/export"
BATCH = "/api/v1/usage/events/batch"
LABELS = ("a", "b", "c")


async def recorded(service: Service, owner: Owner, count: int) -> None:
    """Events a minute apart, every third voided or with labels."""
    now = service.clock.now()
    events: list[dict[str, Any]] = [
        {
            "id": f"e{number}",
            "type": "debate" if number % 2 else "inference",
            "provider": "openai",
            "model": "gpt-4o" if number % 5 else "unheard-of",
            "tokens_in": 10 + number,
            "tokens_out": 3,
            "occurred_at": (now - timedelta(minutes=number)).isoformat(),
            "workspace": LABELS[number % 3],
            "latency_ms": "12.5",
            "quantity": "1.5" if number % 4 == 0 else 1,
            "metadata": {"n": number, "name": "ü"},
        }
        for number in range(count)
    ]
    for start in range(0, count, 1000):
        answer = await owner.client.post(BATCH, json={"events": events[start : start + 1000]})
        assert answer.json()["errors"] == 0, answer.text


async def listed(owner: Owner, **params: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await owner.client.get(
            "/api/v1/usage/events", params={"limit": "100", **params, **cursor}
        )
        body = answer.json()
        found += body["data"]
        if not body["has_more"]:
            return found
        cursor = {"cursor": body["next_cursor"]}


async def test_an_export_has_what_the_list_has_oldest_first(service: Service) -> None:
    owner, stranger = await an_owner(service, "enterprise"), await an_owner(service)
    await recorded(service, owner, 1203)
    await recorded(service, stranger, 2)
    await owner.client.post("/api/v1/usage/events/e7/void", json={"reason": "=1+1"})
    answer = await owner.client.get(EXPORT)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines == list(reversed(await listed(owner)))
    assert len(lines) == 1203
    for params in (
        {"workspace": "b", "type": "debate"},
        {"since": "2026-11-21T03:00:00Z", "until": "2026-11-21T08:00:00Z"},
        {"model": "unheard-of"},
        {"user_id": "nobody"},
    ):
        answer = await owner.client.get(EXPORT, params=params)
        found = [json.loads(line) for line in answer.text.splitlines()]
        assert found == list(reversed(await listed(owner, **params))), params


async def test_filters_look_through_slices_and_miss_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the slices, the same events; a page of few may be followed by more."""
    owner = await an_owner(service, "enterprise")
    await recorded(service, owner, 45)
    filters: list[dict[str, str]] = [
        {"workspace": "b"},
        {"model": "unheard-of", "since": "2026-11-21T08:30:00Z"},
        {"type": "debate", "until": "2026-11-21T08:40:00Z", "workspace": "c"},
        {"user_id": "nobody"},
    ]
    whole = [await listed(owner, **each) for each in filters]
    assert [len(each) for each in whole] == [15, 7, 4, 0]
    for rows in (1, 2, 7, 45, 46):
        monkeypatch.setattr(listing, "SLICE_ROWS", rows)
        for each, expected in zip(filters, whole, strict=True):
            for limit in ("4", "100"):
                assert await listed(owner, **{"limit": limit, **each}) == expected
            answer = await owner.client.get(EXPORT, params=each)
            lines = [json.loads(line) for line in answer.text.splitlines()]
            assert lines == list(reversed(expected))
    monkeypatch.setattr(listing, "SLICE_ROWS", 5)
    page = (await owner.client.get("/api/v1/usage/events", params=filters[3])).json()
    assert (page["data"], page["has_more"]) == ([], True)


async def test_csv_has_the_same_columns_and_runs_no_formula(service: Service) -> None:
    owner = await an_owner(service)
    nasty = ['=cmd|" /C calc"!A0', "+1", "-1", "@SUM(A1)", "\tx", 'quote"d', "two\nlines", "plain"]
    await owner.client.post(
        BATCH,
        json={
            "events": [
                {
                    "id": f"e{number}",
                    "type": "debate",
                    "agent": label,
                    "metadata": {"say": label},
                    "occurred_at": f"2026-11-20T10:00:0{number}Z",
                }
                for number, label in enumerate(nasty)
            ]
        },
    )
    answer = await owner.client.get(EXPORT, params={"format": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    shown = list(reversed(await listed(owner)))
    assert list(rows[0]) == list(shown[0])
    agents = [row["agent"] for row in rows]
    assert agents == [f"'{label}" for label in nasty[:5]] + nasty[5:]
    assert [json.loads(row["metadata"])["say"] for row in rows] == nasty
    assert not any(value.startswith(("=", "+", "-", "@")) for row in rows for value in row.values())
    assert [row["occurred_at"] for row in rows] == [each["occurred_at"] for each in shown]
    empty = await owner.client.get(EXPORT, params={"format": "csv", "agent": "nobody"})
    assert empty.text == ",".join(shown[0]) + "\r\n"


async def test_it_is_compressed_for_who_accepts_it(service: Service) -> None:
    owner = await an_owner(service)
    await recorded(service, owner, 600)
    owner.client.headers["accept-encoding"] = "identity"
    plain = await owner.client.get(EXPORT)
    assert "content-encoding" not in plain.headers
    async with owner.client.stream(
        "GET", EXPORT, headers={"accept-encoding": "br, gzip;q=0.5"}
    ) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        packed = b"".join([piece async for piece in answer.aiter_raw()])
    assert gzip.decompress(packed) == plain.content
    assert len(packed) < len(plain.content) / 4
    refused = await owner.client.get(EXPORT, headers={"accept-encoding": "gzip;q=0"})
    assert "content-encoding" not in refused.headers


@pytest.fixture
async def statements(service: Service) -> AsyncIterator[list[str]]:
    """What the process asks of the database, as it asks it."""
    seen: list[str] = []
    engine = service.services[AsyncEngine].sync_engine

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


async def test_statements_grow_with_pages_and_not_with_events(
    service: Service, statements: list[str]
) -> None:
    owner = await an_owner(service, "enterprise")
    await recorded(service, owner, 2000)
    asked: list[int] = []
    for share in (1000, 2000):
        since = service.clock.now() - timedelta(minutes=share - 1)
        statements.clear()
        answer = await owner.client.get(EXPORT, params={"since": since.isoformat()})
        assert len(answer.text.splitlines()) == share
        asked.append(len([each for each in statements if "usage_events" in each]))
    assert asked == [3, 5]


async def test_few_exports_run_at_once_and_a_place_comes_back(service: Service) -> None:
    owner, others = await an_owner(service), [await an_owner(service) for _ in range(3)]
    exports = service.services[UsageExports]
    everything = EventFilter()
    mine = [await exports.open(owner.organization_id, everything) for _ in range(2)]
    refused = await owner.client.get(EXPORT)
    assert (refused.status_code, refused.json()["code"]) == (503, "exports_busy")
    assert refused.headers["retry-after"] == "15"
    assert (await others[0].client.get(EXPORT)).status_code == 200
    more = [await exports.open(each.organization_id, everything) for each in others[:2]]
    assert (await others[2].client.get(EXPORT)).status_code == 503
    for export in (*mine, *more, *mine):
        export.close()
    assert (await owner.client.get(EXPORT)).status_code == 200
    assert (await owner.client.get(EXPORT, params={"since": "nonsense"})).status_code == 422
    for _ in range(exporting.AT_ONCE + 1):
        assert (await owner.client.get(EXPORT)).status_code == 200


async def test_a_client_that_leaves_gives_its_place_back(
    database_url: URL, tmp_path: Any, clock: ManualClock
) -> None:
    """A real socket, closed in the middle of an answer that is too large for its buffers."""
    with Process(database_url, tmp_path) as process:
        import httpx

        async with httpx.AsyncClient(base_url=process.url, timeout=30) as client:
            answer = await client.post(
                "/api/v1/auth/register",
                json={
                    "email": "leaves@example.com",
                    "password": "a long enough passphrase",
                    "name": "Leaves",
                    "organization_name": "Leaves",
                },
            )
            client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            client.headers["Accept-Encoding"] = "identity"
            big = {"text": "x" * 900}
            for start in range(0, 10_000, 1000):
                body = [
                    {"id": f"e{number}", "type": "api_call", "metadata": big}
                    for number in range(start, start + 1000)
                ]
                sent = await client.post(BATCH, json={"events": [*body]})
                assert sent.status_code in {200, 413}, sent.text
                if sent.status_code == 413:
                    for half in (body[:500], body[500:]):
                        sent = await client.post(BATCH, json={"events": half})
                        assert sent.json()["errors"] == 0, sent.text
            for _ in range(6):
                async with client.stream("GET", EXPORT) as download:
                    assert download.status_code == 200, await download.aread()
                    async for _piece in download.aiter_raw():
                        break
                await asyncio.sleep(0.3)
            whole = await client.get(EXPORT)
            assert len(whole.text.splitlines()) == 10_000


async def test_nothing_is_held_while_a_client_reads_slowly(service: Service) -> None:
    owner = await an_owner(service, "enterprise")
    await recorded(service, owner, 1500)
    export = await service.services[UsageExports].open(owner.organization_id, EventFilter())
    pages = export.pages()
    await anext(pages)
    await anext(pages)
    async with service.work.begin_platform() as session:
        held = await session.scalar(
            text(
                "select count(*) from pg_stat_activity where datname = current_database()"
                " and pid <> pg_backend_pid() and (backend_xmin is not null or xact_start is not null)"
            )
        )
    await pages.aclose()
    export.close()
    assert held == 0


async def test_an_event_of_every_shape_is_exported(service: Service) -> None:
    """A streamed answer's usage is a list of objects, which a cell must hold as well."""
    owner = await an_owner(service)
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
    for number, raw in enumerate((usage, [usage, {**usage, "completion_tokens": 2}])):
        answer = await owner.client.post(
            "/api/v1/usage/events",
            json={
                "id": f"raw-{number}",
                "type": "tokens",
                "provider": "openai",
                "model": "gpt-4o",
                "raw_usage": raw,
            },
        )
        assert answer.status_code == 201, answer.text
    found = await owner.client.get(EXPORT, params={"format": "csv"})
    rows = list(csv.DictReader(io.StringIO(found.text)))
    assert {row["id"]: type(json.loads(row["raw_usage"])) for row in rows} == {
        "raw-0": dict,
        "raw-1": list,
    }
