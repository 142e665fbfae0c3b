"""One effect and one answer for a key (rule 12)."""

import asyncio
import itertools
from datetime import timedelta

import httpx
import pytest
from fastapi import APIRouter
from sqlalchemy import text

from app.infra.http.idempotency import LEASE, IdempotencyKeys, IdempotentRoute
from app.infra.http.schemas import InputModel
from app.kernel.ids import new_id
from tests.support.service import Service


class Order(InputModel):
    amount: int


effects: list[str] = []
numbers = itertools.count(1)
gate = asyncio.Event()


@pytest.fixture
def probed(service: Service) -> Service:
    if getattr(service.app.state, "has_idempotency_probes", False):
        return service
    service.app.state.has_idempotency_probes = True
    router = APIRouter(prefix="/probe", route_class=IdempotentRoute, include_in_schema=False)

    @router.post("/orders", status_code=201)
    async def order(order: Order) -> dict[str, int]:
        async with service.work.begin_platform():
            effects.append("order")
        return {"number": next(numbers)}

    @router.post("/slow")
    async def slow() -> dict[str, str]:
        await gate.wait()
        return {}

    @router.post("/failing")
    async def failing() -> dict[str, str]:
        effects.append("failing")
        raise ConnectionRefusedError

    @router.post("/killed")
    async def killed() -> dict[str, str]:
        async with service.work.begin_platform():
            effects.append("killed")
        raise asyncio.CancelledError

    service.app.include_router(router)
    return service


@pytest.fixture(autouse=True)
def forget_effects() -> None:
    effects.clear()


def key() -> dict[str, str]:
    return {"Idempotency-Key": str(new_id())}


async def test_the_same_request_again_gets_the_first_answer(
    probed: Service, client: httpx.AsyncClient
) -> None:
    headers = key()
    first = await client.post("/probe/orders", json={"amount": 1}, headers=headers)
    second = await client.post("/probe/orders", json={"amount": 1}, headers=headers)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert effects == ["order"]


async def test_without_a_key_each_request_counts(
    probed: Service, client: httpx.AsyncClient
) -> None:
    for _ in range(2):
        await client.post("/probe/orders", json={"amount": 1})
    assert effects == ["order", "order"]


async def test_another_body_under_the_key_is_a_conflict(
    probed: Service, client: httpx.AsyncClient
) -> None:
    headers = key()
    await client.post("/probe/orders", json={"amount": 1}, headers=headers)
    answer = await client.post("/probe/orders", json={"amount": 2}, headers=headers)
    assert answer.status_code == 409
    assert answer.json()["code"] == "idempotency_key_reused"


async def test_twenty_at_once_have_one_effect(probed: Service, client: httpx.AsyncClient) -> None:
    headers = key()
    answers = await asyncio.gather(
        *(client.post("/probe/orders", json={"amount": 1}, headers=headers) for _ in range(20))
    )
    assert effects == ["order"]
    assert {answer.status_code for answer in answers} <= {201, 409}
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["code"] == "idempotency_in_progress"
            assert int(answer.headers["retry-after"]) > 0


async def test_while_the_first_runs_the_second_is_told_to_wait(
    probed: Service, client: httpx.AsyncClient
) -> None:
    gate.clear()
    headers = key()
    first = asyncio.create_task(client.post("/probe/slow", headers=headers))
    await asyncio.sleep(0.2)
    second = await client.post("/probe/slow", headers=headers)
    gate.set()
    assert second.status_code == 409
    assert second.json()["code"] == "idempotency_in_progress"
    assert (await first).status_code == 200


async def test_an_answered_failure_frees_the_key(
    probed: Service, client: httpx.AsyncClient
) -> None:
    headers = key()
    for _ in range(2):
        answer = await client.post("/probe/failing", headers=headers)
        assert answer.status_code == 503
    assert effects == ["failing", "failing"]


async def test_a_refused_body_frees_the_key(probed: Service, client: httpx.AsyncClient) -> None:
    headers = key()
    assert (await client.post("/probe/orders", json={}, headers=headers)).status_code == 422
    answer = await client.post("/probe/orders", json={"amount": 1}, headers=headers)
    assert answer.status_code == 201


async def test_a_process_killed_after_its_commit_never_repeats_the_effect(
    probed: Service, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = probed.services[IdempotencyKeys]

    async def gone(caller: str, name: str) -> None:
        """A killed process releases nothing."""

    monkeypatch.setattr(keys, "release", gone)
    headers = key()
    with pytest.raises(asyncio.CancelledError):
        await client.post("/probe/killed", headers=headers)
    early = await client.post("/probe/killed", headers=headers)
    assert early.json()["code"] == "idempotency_in_progress"
    probed.clock.advance(LEASE + timedelta(seconds=1))
    late = await client.post("/probe/killed", headers=headers)
    assert late.status_code == 409
    assert late.json()["code"] == "idempotency_outcome_unknown"
    assert effects == ["killed"]


async def test_a_process_killed_before_its_commit_may_be_repeated(
    probed: Service, client: httpx.AsyncClient
) -> None:
    keys = probed.services[IdempotencyKeys]
    name = str(new_id())
    assert await keys.claim("anonymous", name, b"lost") is None
    probed.clock.advance(LEASE + timedelta(seconds=1))
    assert await keys.claim("anonymous", name, b"lost") is None


async def test_stored_answers_cannot_be_read_from_the_table(
    probed: Service, client: httpx.AsyncClient
) -> None:
    headers = key()
    await client.post("/probe/orders", json={"amount": 1}, headers=headers)
    async with probed.work.begin_platform() as session:
        body = await session.scalar(
            text("select body from idempotency_keys where key = :key"),
            {"key": headers["Idempotency-Key"]},
        )
    assert b"number" not in body


@pytest.mark.parametrize("bad", ["", "x" * 256, "tab\there"])
async def test_a_malformed_key_is_refused(
    probed: Service, client: httpx.AsyncClient, bad: str
) -> None:
    answer = await client.post(
        "/probe/orders", json={"amount": 1}, headers={"Idempotency-Key": bad}
    )
    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency_key_malformed"


async def test_old_keys_are_forgotten(probed: Service, client: httpx.AsyncClient) -> None:
    headers = key()
    await client.post("/probe/orders", json={"amount": 1}, headers=headers)
    probed.clock.advance(days=3)
    assert await probed.services[IdempotencyKeys].forget_old() >= 1
    answer = await client.post("/probe/orders", json={"amount": 1}, headers=headers)
    assert "idempotent-replayed" not in answer.headers
