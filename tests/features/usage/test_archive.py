"""Months of events move to files. Sums stay, ids stay taken, and no crash loses a row."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, text

from app.kernel.clock import ManualClock
from app.kernel.periods import Period, calendar_month
from app.usage.domain import EventFilter
from app.usage.errors import ArchiveNotFaithful, EventArchived, MonthNotArchivable
from app.usage.repository.partitions import PartitionRepository
from app.usage.service import partitions as making
from app.usage.service.archive import UsageArchives
from app.usage.service.corrections import UsageCorrections
from app.usage.service.costs import CostReports
from app.usage.service.export import UsageExports
from app.usage.service.partitions import Partitions
from app.usage.service.usage import UsageService
from tests.factories.people import Owner, an_owner
from tests.features.usage.test_quota import signed_in
from tests.platform.test_commands import command
from tests.support.long import LONG
from tests.support.service import Service, running

EVENTS = "/api/v1/usage/events"
NOVEMBER = calendar_month(datetime(2026, 11, 1, tzinfo=UTC))
YEARS_LATER = datetime(2029, 2, 1, tzinfo=UTC)
KEEP = 24


def sent(number: int) -> dict[str, Any]:
    return {
        "id": f"e{number}",
        "type": "debate",
        "provider": "openai",
        "model": "gpt-4o",
        "tokens_in": 100 + number,
        "agent": f"a{number % 3}",
        "metadata": {"text": 'snö "\n\u2028', "n": number},
    }


@asynccontextmanager
async def two_customers(url: URL, clock: ManualClock) -> AsyncIterator[tuple[Service, list[Owner]]]:
    """Each with twelve events of November 2026, one of them void; then more than two years pass."""
    async with running(url, clock) as service:
        owners = [await an_owner(service, "enterprise") for _ in range(2)]
        for owner in owners:
            for number in range(12):
                answer = await owner.client.post(EVENTS, json=sent(number))
                assert answer.status_code == 201, answer.text
            await owner.client.post(f"{EVENTS}/e7/void", json={"reason": "test"})
        clock.set(YEARS_LATER)
        for owner in owners:
            owner.client = await signed_in(service, owner)
        await service.services[Partitions].make()
        yield service, owners


async def rows(service: Service, relation: str) -> list[str]:
    async with service.work.begin_platform() as session:
        found = await session.scalars(
            text(f"select row_to_json(t)::text from {relation} t order by organization_id, id")
        )
        return list(found)


async def sums(service: Service, owners: Sequence[Owner]) -> list[Any]:
    usage = service.services[UsageService]
    found: list[Any] = []
    for owner in owners:
        who = owner.organization_id
        found.append(await usage.summary(who, NOVEMBER.start, NOVEMBER.end))
        found.append(
            await service.services[CostReports].breakdown(who, NOVEMBER.start, NOVEMBER.end)
        )
        found.append(await usage.timeseries(who, NOVEMBER.start, NOVEMBER.end, "day", "agent"))
    return found


def archives_of(service: Service, repository: PartitionRepository | None = None) -> UsageArchives:
    return UsageArchives(
        service.work, repository or PartitionRepository(service.work), service.clock
    )


async def test_a_month_becomes_a_file_and_sums_stay(
    fresh_url: URL, clock: ManualClock, tmp_path: Path
) -> None:
    async with two_customers(fresh_url, clock) as (service, owners):
        archives = service.services[UsageArchives]
        before, events = await sums(service, owners), await rows(service, "usage_events")
        assert len(events) == 24
        manifest = await archives.archive(NOVEMBER, tmp_path, keep_months=KEEP)
        assert manifest is not None
        assert (manifest["events"], manifest["voided"], manifest["quantity"]) == (24, "2", "24")
        path = tmp_path / manifest["file"]
        lines = gzip.decompress(path.read_bytes()).decode().split("\n")[:-1]
        assert sorted(lines) == sorted(events)
        written = json.loads((tmp_path / "usage_events_2026_11.manifest.json").read_text())
        assert written == manifest
        assert await rows(service, "usage_events") == []
        assert await sums(service, owners) == before
        assert await archives.archive(NOVEMBER, tmp_path, keep_months=KEEP) is None
        names = [(each.name, each.state, each.events) for each in await archives.stored()]
        assert ("usage_events_2026_11_detached_1", "archived", 24) in names
        assert not any(name == "usage_events_2026_11" for name, _, _ in names)
        # The file brings back every column of every row.
        async with service.work.begin_platform() as session:
            await session.execute(text("create temp table back (like usage_events)"))
            for line in lines:
                await session.execute(
                    text(
                        "insert into back select * from json_populate_record(null::back, cast(:line as json))"
                    ),
                    {"line": line},
                )
            back = await session.scalars(
                text("select row_to_json(t)::text from back t order by organization_id, id")
            )
            assert list(back) == events


async def test_what_reading_says_of_archived_events(
    fresh_url: URL, clock: ManualClock, tmp_path: Path
) -> None:
    async with two_customers(fresh_url, clock) as (service, owners):
        client = owners[0].client
        shown = (await client.get(f"{EVENTS}/e3")).json()
        await service.services[UsageArchives].archive(NOVEMBER, tmp_path, keep_months=KEEP)
        for name in ("e3", shown["event_id"]):
            gone = await client.get(f"{EVENTS}/{name}")
            assert (gone.status_code, gone.json()["code"]) == (410, "event_archived")
            assert gone.json()["month"] == "2026-11"
        void = await client.post(f"{EVENTS}/e3/void", json={"reason": "late"})
        assert (void.status_code, void.json()["code"]) == (410, "event_archived")
        assert (await client.get(f"{EVENTS}/never")).status_code == 404
        early = {"since": "2026-10-01T00:00:00Z"}
        for path in (EVENTS, f"{EVENTS}/export"):
            assert (await client.get(path, params=early)).status_code == 410
            assert (await client.get(path)).status_code == 200
            late = {"since": "2026-12-01T00:00:00Z"}
            assert (await client.get(path, params=late)).status_code == 200
        cut = {"since": "2026-11-01T12:00:00Z", "until": "2026-12-01T00:00:00Z"}
        for path in ("/api/v1/usage/summary", "/api/v1/costs/breakdown"):
            assert (await client.get(path, params=cut)).status_code == 410
            whole = {**cut, "since": "2026-11-02T00:00:00Z"}
            assert (await client.get(path, params=whole)).status_code == 200


async def test_an_id_stays_taken_when_its_month_is_gone(
    fresh_url: URL, clock: ManualClock, tmp_path: Path
) -> None:
    async with two_customers(fresh_url, clock) as (service, owners):
        owner = owners[0]
        await service.services[UsageArchives].archive(NOVEMBER, tmp_path, keep_months=KEEP)
        repeat = await owner.client.post(EVENTS, json=sent(3))
        assert (repeat.status_code, repeat.json()["status"]) == (200, "duplicate")
        other = await owner.client.post(EVENTS, json={**sent(3), "tokens_in": 1})
        assert (other.status_code, other.json()["code"]) == (409, "event_conflict")
        batch = await owner.client.post(f"{EVENTS}/batch", json={"events": [sent(7), sent(99)]})
        assert [each["status"] for each in batch.json()["results"]] == ["duplicate", "recorded"]
        # The control: without its permanent key the partitions alone would take it again.
        async with service.work.begin(owner.organization_id) as session:
            await session.execute(
                text(
                    "delete from usage_keys where organization_id = :id and event_id not in"
                    " (select id from usage_events)"
                ),
                {"id": owner.organization_id},
            )
        assert (await owner.client.post(EVENTS, json=sent(3))).status_code == 201


class Killed(Exception):
    """Stands for the end of the process."""


class Dying(PartitionRepository):
    """Ends the process at one of its steps, before or after the step is done."""

    def __init__(self, service: Service, step: str, *, after: bool) -> None:
        super().__init__(service.work)
        self._step, self._after = step, after

    async def _at(self, step: str, done: bool) -> None:
        if (step, done) == (self._step, self._after):
            raise Killed

    async def detach(self, month: Period, at: datetime) -> Any:
        await self._at("detach", False)
        found = await super().detach(month, at)
        await self._at("detach", True)
        return found

    async def content(self, relation: str) -> Any:
        await self._at("content", False)
        return await super().content(relation)

    async def lines(self, relation: str, after: Sequence[Any] | None, limit: int) -> Any:
        if after is not None:
            await self._at("lines", False)
        return await super().lines(relation, after, limit)

    async def drop(self, archive: Any, manifest: dict[str, Any], at: datetime) -> None:
        await self._at("drop", False)
        await super().drop(archive, manifest, at)
        await self._at("drop", True)


@pytest.mark.parametrize(
    ("step", "after"),
    [
        ("detach", False),
        ("detach", True),
        pytest.param("content", False, marks=LONG),
        pytest.param("lines", False, marks=LONG),
        ("drop", False),
        ("drop", True),
    ],
)
async def test_killed_at_any_step_it_loses_nothing_and_goes_on(
    fresh_url: URL, clock: ManualClock, tmp_path: Path, step: str, after: bool
) -> None:
    async with two_customers(fresh_url, clock) as (service, _):
        events = await rows(service, "usage_events")
        with pytest.raises(Killed):
            await archives_of(service, Dying(service, step, after=after)).archive(
                NOVEMBER, tmp_path, keep_months=KEEP
            )
        archives = archives_of(service)
        left = [each.name for each in await archives.stored() if "2026_11" in each.name]
        assert all(each.state != "archived" for each in await archives.stored())
        assert len(left) == 1
        assert await rows(service, left[0]) == events
        (tmp_path / "usage_events_2026_11.ndjson.gz.1.partial").write_bytes(b"left behind")
        manifest = await archives.archive(NOVEMBER, tmp_path, keep_months=KEEP)
        assert manifest is not None
        lines = gzip.decompress((tmp_path / manifest["file"]).read_bytes()).decode().split("\n")
        assert sorted(lines[:-1]) == sorted(events)


class Forgetful(PartitionRepository):
    """Hands out one row less than there is."""

    async def lines(self, relation: str, after: Sequence[Any] | None, limit: int) -> Any:
        return (await super().lines(relation, after, limit))[1:]


async def test_a_file_that_is_not_what_the_month_holds_drops_nothing(
    fresh_url: URL, clock: ManualClock, tmp_path: Path
) -> None:
    async with two_customers(fresh_url, clock) as (service, owners):
        before = await rows(service, "usage_events")
        with pytest.raises(ArchiveNotFaithful) as refused:
            await archives_of(service, Forgetful(service.work)).archive(
                NOVEMBER, tmp_path, keep_months=KEEP
            )
        assert "digest" in refused.value.message
        archives = archives_of(service)
        assert await archives.attach(NOVEMBER) is True
        assert await archives.attach(NOVEMBER) is False
        assert await rows(service, "usage_events") == before
        assert (await owners[0].client.get(f"{EVENTS}/e3")).status_code == 200
        # A file of an earlier run that was changed on the disk is written again.
        path = tmp_path / "usage_events_2026_11.ndjson.gz"
        path.write_bytes(path.read_bytes()[:-20])
        assert await archives.archive(NOVEMBER, tmp_path, keep_months=KEEP) is not None
        assert len(gzip.decompress(path.read_bytes()).splitlines()) == len(before)


async def test_a_month_that_is_not_settled_is_refused(
    fresh_url: URL, clock: ManualClock, tmp_path: Path
) -> None:
    async with two_customers(fresh_url, clock) as (service, owners):
        archives = service.services[UsageArchives]
        clock.set(datetime(2027, 1, 4, tzinfo=UTC))
        with pytest.raises(MonthNotArchivable, match="may still receive events"):
            await archives.archive(NOVEMBER, tmp_path, keep_months=0)
        clock.set(datetime(2028, 11, 30, tzinfo=UTC))
        with pytest.raises(MonthNotArchivable, match="not over for 24 months"):
            await archives.archive(NOVEMBER, tmp_path, keep_months=KEEP)
        clock.set(YEARS_LATER)
        async with service.work.begin_platform() as session:
            await session.execute(
                text("update usage_events set cost_usd = null where event_key = 'e3'")
            )
        with pytest.raises(MonthNotArchivable, match=r"without a price: openai/gpt-4o \(2\)"):
            await archives.archive(NOVEMBER, tmp_path, keep_months=KEEP)
        assert len(await rows(service, "usage_events_2026_11")) == 24
        corrections = service.services[UsageCorrections]
        for owner in owners:
            await corrections.void(owner.organization_id, "e3", "never mind")
        with pytest.raises(FileNotFoundError):
            await archives.archive(NOVEMBER, tmp_path / "nowhere", keep_months=KEEP)
        assert len(await rows(service, "usage_events_2026_11")) == 24
        assert await archives.archive(NOVEMBER, tmp_path, keep_months=KEEP) is not None


async def test_what_is_backfilled_into_an_archived_month_is_a_portion_of_its_own(
    fresh_url: URL, clock: ManualClock, tmp_path: Path
) -> None:
    async with two_customers(fresh_url, clock) as (service, owners):
        archives = service.services[UsageArchives]
        await archives.archive(NOVEMBER, tmp_path, keep_months=KEEP)
        clock.set(datetime(2026, 11, 28, tzinfo=UTC))
        client = await signed_in(service, owners[0])
        assert (await client.post(EVENTS, json=sent(50))).status_code == 201
        clock.set(YEARS_LATER)
        assert await rows(service, "usage_events_default") != []
        owners[0].client = await signed_in(service, owners[0])
        assert (await owners[0].client.get(f"{EVENTS}/e50")).status_code == 200
        manifest = await archives.archive(NOVEMBER, tmp_path, keep_months=KEEP)
        assert manifest is not None
        assert (manifest["events"], manifest["file"]) == (1, "usage_events_2026_11_2.ndjson.gz")
        assert await rows(service, "usage_events_default") == []
        assert (await owners[0].client.get(f"{EVENTS}/e50")).status_code == 410


@LONG
async def test_an_operator_types_it(fresh_url: URL, clock: ManualClock, tmp_path: Path) -> None:
    async with two_customers(fresh_url, clock) as (service, _):  # noqa: SIM117
        async with service.work.begin_platform() as session:
            # The command has the real clock; two years before it these events are old.
            await session.execute(
                text("alter table usage_events detach partition usage_events_2026_11")
            )
            await session.execute(
                text(
                    "update usage_events_2026_11 set occurred_at = occurred_at - interval '3 years'"
                )
            )
            await session.execute(text("alter table usage_events_2026_11 rename to was_2026_11"))
            await session.execute(text("insert into usage_events select * from was_2026_11"))
    listed = await asyncio.to_thread(command, fresh_url, tmp_path, "list-events")
    assert listed.returncode == 0, listed.stderr
    assert "usage_events_default" in listed.stdout
    arguments = ("archive-events", "2023-11", "--to", str(tmp_path))
    done = await asyncio.to_thread(command, fresh_url, tmp_path, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    file = tmp_path / "usage_events_2023_11.ndjson.gz"
    assert done.stdout == f"Archived 24 events of 2023-11 in {file}.\n"
    again = await asyncio.to_thread(command, fresh_url, tmp_path, *arguments)
    assert again.stdout == "There is nothing of 2023-11 to archive.\n"
    for wrong, reason in (("2026-10", "not over for 24 months"), ("13-2020", "does not match")):
        refused = await asyncio.to_thread(
            command, fresh_url, tmp_path, "archive-events", wrong, "--to", str(tmp_path)
        )
        assert refused.returncode == 1
        assert reason in refused.stderr
    attached = await asyncio.to_thread(command, fresh_url, tmp_path, "attach-events", "2023-11")
    assert attached.stdout == "2023-11 is not detached.\n"


async def test_too_many_waiting_rows_leave_the_month_to_the_default_partition(
    fresh_url: URL, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(fresh_url, clock) as service:
        owner = await an_owner(service, "enterprise")
        clock.set(datetime(2027, 3, 3, tzinfo=UTC))
        owner.client = await signed_in(service, owner)
        for number in range(5):
            await owner.client.post(EVENTS, json=sent(number))
        monkeypatch.setattr(making, "MOVED_AT_MOST", 4)
        assert await service.services[Partitions].make() == 3
        assert len(await rows(service, "usage_events_default")) == 5
        assert (await owner.client.get(f"{EVENTS}/e3")).status_code == 200
        monkeypatch.undo()
        assert await service.services[Partitions].make() == 1
        assert len(await rows(service, "usage_events_2027_03")) == 5


async def test_rows_that_arrive_while_a_month_is_made_postpone_it(
    fresh_url: URL, clock: ManualClock
) -> None:
    """Who writes to the default partition is waited for, though not for long."""
    async with running(fresh_url, clock) as service:
        owner = await an_owner(service, "enterprise")
        clock.set(datetime(2027, 3, 3, tzinfo=UTC))
        owner.client = await signed_in(service, owner)
        await owner.client.post(EVENTS, json=sent(1))
        making_ = service.services[Partitions]
        written, go = asyncio.Event(), asyncio.Event()

        async def a_slow_writer() -> None:
            async with service.work.begin_platform() as session:
                await session.execute(
                    text(
                        "insert into usage_events_default select (json_populate_record(e,"
                        " json_build_object('id', gen_random_uuid()))).* from usage_events e"
                    )
                )
                written.set()
                await go.wait()

        writer = asyncio.create_task(a_slow_writer())
        await written.wait()
        assert await making_.make() == 0
        go.set()
        await writer
        assert await making_.make() == 4
        assert len(await rows(service, "usage_events_2027_03")) == 2
        assert await rows(service, "usage_events_default") == []


async def test_a_download_that_was_begun_is_refused_before_it_begins(
    fresh_url: URL, clock: ManualClock, tmp_path: Path
) -> None:
    """And its place is free for the next one."""
    async with two_customers(fresh_url, clock) as (service, owners):
        await service.services[UsageArchives].archive(NOVEMBER, tmp_path, keep_months=KEEP)
        exports = service.services[UsageExports]
        old = EventFilter(since=NOVEMBER.start + timedelta(days=1))
        for _ in range(5):
            with pytest.raises(EventArchived):
                await exports.open(owners[0].organization_id, old)
