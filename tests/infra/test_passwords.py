"""Password hashes: strong by default, old ones accepted, the loop left alone."""

import asyncio
import hashlib
import os
import sys
import threading
import time

import pytest

from app.infra.security.passwords import Passwords, TooManySignIns

PASSWORD = "nine-lives-of-a-cat"


def legacy(password: str, salt: str = "5f2a9c01") -> str:
    """A hash as the predecessor stored it: SHA-256 over salt and password."""
    return f"sha256${salt}${hashlib.sha256((salt + password).encode()).hexdigest()}"


@pytest.fixture
def cheap() -> Passwords:
    return Passwords(memory_kib=256)


async def test_the_default_is_what_owasp_asks_for() -> None:
    stored = await Passwords().hash(PASSWORD)
    assert stored.startswith("$argon2id$v=19$m=47104,t=1,p=1$")


async def test_a_password_verifies_and_another_does_not(cheap: Passwords) -> None:
    stored = await cheap.hash(PASSWORD)
    assert (await cheap.verify(PASSWORD, stored)).is_correct
    assert (await cheap.verify(PASSWORD, stored)).replacement is None
    assert not (await cheap.verify(PASSWORD + "!", stored)).is_correct
    assert not (await cheap.verify(PASSWORD, None)).is_correct


async def test_an_old_hash_verifies_and_is_to_be_replaced(cheap: Passwords) -> None:
    for salt in ("5f2a9c01", "a" * 64, "s/a.l+t=-_"):
        stored = legacy(PASSWORD, salt)
        assert cheap.recognizes(stored)
        checked = await cheap.verify(PASSWORD, stored)
        assert checked.is_correct
        assert checked.replacement is not None
        assert checked.replacement.startswith("$argon2id$")
        assert (await cheap.verify(PASSWORD, checked.replacement)).is_correct
        assert not (await cheap.verify("something else", stored)).is_correct


async def test_weaker_parameters_are_outdated(cheap: Passwords) -> None:
    stored = await cheap.hash(PASSWORD)
    checked = await Passwords(memory_kib=512).verify(PASSWORD, stored)
    assert checked.is_correct
    assert checked.replacement is not None
    assert "m=512" in checked.replacement


@pytest.mark.parametrize(
    "stored",
    ["", "plain", "sha256$$", "sha256$salt$short", f"sha256$salt${'A' * 64}", "md5$salt$00"],
)
def test_what_could_never_verify_is_not_recognized(cheap: Passwords, stored: str) -> None:
    assert not cheap.recognizes(stored)


async def test_refusals_take_alike_long_whatever_is_stored() -> None:
    passwords = Passwords(memory_kib=8192)
    strong = await passwords.hash(PASSWORD)

    # In turns, so that whatever slows the machine slows all three.
    times: list[list[float]] = [[], [], []]
    for _ in range(7):
        for stored, taken in zip((strong, None, legacy(PASSWORD)), times, strict=True):
            began = time.perf_counter()
            assert not (await passwords.verify("wrong", stored)).is_correct
            taken.append(time.perf_counter() - began)
    wrong, unknown, old = (min(taken) for taken in times)
    for other in (unknown, old):
        assert 0.5 < other / wrong < 2, (wrong, unknown, old)


async def test_many_sign_ins_do_not_stall_the_loop() -> None:
    """Twelve at once, with the real parameters: a heartbeat of 2 ms is hardly ever late."""
    passwords = Passwords()
    stored = await passwords.hash(PASSWORD)
    gaps: list[float] = []

    async def beat() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.002)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    beating = asyncio.create_task(beat())
    began = time.perf_counter()
    await asyncio.gather(*[passwords.verify(PASSWORD, stored) for _ in range(12)])
    took = time.perf_counter() - began
    beating.cancel()
    gaps.sort()
    each = took / 12
    print(
        f"a verification took {each * 1000:.0f} ms, the median gap was {gaps[len(gaps) // 2] * 1000:.1f} ms"
    )
    # Inline, there would be one gap of the whole time.
    assert len(gaps) > 12
    assert gaps[len(gaps) // 2] < each / 2


async def test_a_queue_that_is_too_long_is_refused() -> None:
    passwords = Passwords(memory_kib=1024)
    stored = await passwords.hash(PASSWORD)
    outcomes = await asyncio.gather(
        *[passwords.verify(PASSWORD, stored) for _ in range(220)], return_exceptions=True
    )
    refused = [each for each in outcomes if isinstance(each, TooManySignIns)]
    assert len(refused) == 20


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
async def test_hashing_gives_way_and_nothing_else_does(cheap: Passwords) -> None:
    before = {thread.native_id for thread in threading.enumerate()}
    usual = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    await cheap.hash(PASSWORD)
    after = {thread.native_id for thread in threading.enumerate()}
    priorities = [os.getpriority(os.PRIO_PROCESS, each or 0) for each in after - before]
    assert priorities == [usual + 10]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == usual
    await cheap.close()
