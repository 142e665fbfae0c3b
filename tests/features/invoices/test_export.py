"""Many invoices at once: all of them, in order, with little in memory, and no longer than read."""

from __future__ import annotations

import asyncio
import io
import json
import random
import tracemalloc
import zipfile
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.invoices.archive import Packed, packed
from app.invoices.service.exporting import PAGE, InvoiceExports
from app.invoices.service.mirror import InvoiceMirror
from app.kernel.periods import Period
from tests.conftest import START
from tests.factories.billing import act, generate
from tests.factories.invoices import a_stripe_invoice
from tests.factories.operators import an_operator
from tests.factories.people import Owner, an_owner
from tests.support.service import Service

INVOICES = "/api/v1/billing/invoices"
EXPORT = f"{INVOICES}/export"


@pytest.fixture
async def owner(service: Service) -> Owner:
    return await an_owner(service, plan="enterprise_plus")


async def mirrored(service: Service, owner: Owner, count: int) -> None:
    """Invoices of Stripe's, a day after the other, the first at START."""
    async with service.work.begin(owner.organization_id):
        for day in range(count):
            at = START + timedelta(days=day)
            told = a_stripe_invoice(
                status="paid",
                created_at=at,
                finalized_at=at,
                paid_at=at,
                number=f"A1B2C3-{day:04}",
            )
            await service.services[InvoiceMirror].record(owner.organization_id, told)


def archive_of(answer: httpx.Response) -> zipfile.ZipFile:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    return archive


async def test_every_invoice_of_a_period_is_there_once(service: Service, owner: Owner) -> None:
    await mirrored(service, owner, 2 * PAGE + 3)
    asked = {"format": "zip", "documents": "json"}
    archive = archive_of(await owner.client.get(EXPORT, params=asked))
    assert archive.namelist() == [f"A1B2C3-{day:04}.json" for day in range(2 * PAGE + 3)]
    shown = json.loads(archive.read("A1B2C3-0007.json"))
    assert shown == (await owner.client.get(f"{INVOICES}/{shown['id']}")).json()
    # The 22nd, the 23rd, the 24th: from the beginning of a day to before another's.
    period = {"from": "2026-11-22", "to": "2026-11-25T00:00:00Z"}
    some = archive_of(await owner.client.get(EXPORT, params={**asked, **period}))
    assert some.namelist() == ["A1B2C3-0001.json", "A1B2C3-0002.json", "A1B2C3-0003.json"]
    table = await owner.client.get(EXPORT, params=period)
    assert table.headers["content-type"].startswith("text/csv")
    rows = table.text.splitlines()
    lines = [row for row in rows if row.endswith((",type", ",line"))]
    assert [row.split(",")[0] for row in lines] == [
        "invoice",
        "A1B2C3-0001",
        "A1B2C3-0002",
        "A1B2C3-0003",
    ]


async def test_own_ones_are_as_they_are_one_by_one_and_drafts_are_not_there(
    service: Service, owner: Owner
) -> None:
    operator = await an_operator(service)
    void = await act(operator, await generate(operator, owner, "2026-10"), "finalize")
    await act(operator, void, "void")
    issued = await act(operator, await generate(operator, owner, "2026-11"), "finalize")
    await generate(operator, owner, "2026-10")
    for form in ("pdf", "html", "csv"):
        asked = {"format": "zip", "documents": form}
        archive = archive_of(await owner.client.get(EXPORT, params=asked))
        assert archive.namelist() == [f"{void['number']}.{form}", f"{issued['number']}.{form}"]
        alone = await owner.client.get(f"{INVOICES}/{issued['id']}/{form}")
        assert archive.read(f"{issued['number']}.{form}") == alone.content


async def test_nothing_is_an_archive_too_and_strangers_find_none(
    service: Service, owner: Owner
) -> None:
    await mirrored(service, owner, 1)
    stranger = await an_owner(service)
    assert archive_of(await stranger.client.get(EXPORT, params={"format": "zip"})).namelist() == []
    assert len((await stranger.client.get(EXPORT)).text.splitlines()) == 1
    backwards = {"from": "2026-11-02", "to": "2026-11-01"}
    refused = await owner.client.get(EXPORT, params=backwards)
    assert (refused.status_code, refused.json()["code"]) == (422, "period_is_backwards")


async def test_memory_holds_one_file_of_many() -> None:
    size, count = 100_000, 300
    chance = random.Random(1)

    async def files() -> AsyncIterator[Packed]:
        for number in range(count):
            yield Packed(f"{number}.pdf", START, chance.randbytes(size))

    tracemalloc.start()
    try:
        written = 0
        async for piece in packed(files()):
            written += len(piece)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert written > size * count
    assert most < 30 * size, most


async def test_two_files_of_one_name_are_two_files() -> None:
    async def files() -> AsyncIterator[Packed]:
        for content in (b"one", b"two"):
            yield Packed("A-1.pdf", START.replace(year=1970), content)

    written = b"".join([piece async for piece in packed(files())])
    archive = zipfile.ZipFile(io.BytesIO(written))
    assert {name: archive.read(name) for name in archive.namelist()} == {
        "A-1.pdf": b"one",
        "A-1 (2).pdf": b"two",
    }


async def test_a_client_that_leaves_stops_the_work_and_gives_its_place_back(
    service: Service, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mirrored(service, owner, PAGE + 5)
    exports = service.services[InvoiceExports]
    printed: list[object] = []
    asked = [False, True]
    gone = asyncio.Event()

    async def slow(invoice: object) -> bytes:
        printed.append(invoice)
        await asyncio.sleep(0.01)
        return b"%PDF"

    monkeypatch.setattr(exports, "pdf", slow)

    async def receive() -> dict[str, Any]:
        if asked.pop():
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body" and message["body"]:
            gone.set()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": EXPORT,
        "raw_path": EXPORT.encode(),
        "query_string": b"format=zip",
        "root_path": "",
        "headers": [(b"authorization", owner.client.headers["authorization"].encode())],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
        "state": {},
    }
    await service.app(scope, receive, send)
    assert gone.is_set()
    assert 1 <= len(printed) < PAGE
    november = Period(START, START + timedelta(days=1))
    exports.open(owner.organization_id, november).close()


async def test_one_export_at_a_time_for_each(service: Service, owner: Owner) -> None:
    exports = service.services[InvoiceExports]
    period = Period(START, START + timedelta(days=1))
    first = exports.open(owner.organization_id, period)
    busy = await owner.client.get(EXPORT)
    assert (busy.status_code, busy.json()["code"]) == (503, "exports_busy")
    assert busy.headers["retry-after"] == "30"
    first.close()
    first.close()
    assert (await owner.client.get(EXPORT)).status_code == 200
