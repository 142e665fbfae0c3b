"""The others of a benchmark answer as real ones would, or say nothing and keep the line open."""

import asyncio

import aiosmtplib
import httpx
import pytest

from benchmarks.stand_ins import mail_server, stripe

_MAIL = b"Subject: hello\r\n\r\nA line.\r\n"


async def _send(port: int, timeout: float) -> None:
    await aiosmtplib.send(
        _MAIL,
        sender="a@example.com",
        recipients=["b@example.com"],
        hostname="127.0.0.1",
        port=port,
        timeout=timeout,
    )


async def test_a_mail_server_takes_mails_and_counts_them() -> None:
    async with mail_server(answers=True) as server:
        await _send(server.port, timeout=5)
        await _send(server.port, timeout=5)
        assert server.taken == 2


async def test_a_silent_mail_server_keeps_its_caller_waiting_until_it_is_over() -> None:
    async with mail_server(answers=False) as server:
        with pytest.raises(aiosmtplib.SMTPTimeoutError):
            await _send(server.port, timeout=0.2)
        waiting = asyncio.create_task(_send(server.port, timeout=30))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        server.over.set()
        with pytest.raises((aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPConnectError)):
            await waiting
        assert server.taken == 0


async def test_stripe_knows_the_customer_that_it_made() -> None:
    async with stripe(answers=True) as server, httpx.AsyncClient() as http:
        at = f"http://127.0.0.1:{server.port}/v1"
        made = await http.post(f"{at}/customers", data={"name": "Bench"})
        page = await http.post(f"{at}/billing_portal/sessions", data={"customer": "cus_benchmark"})
        unknown = await http.get(f"{at}/products")
    assert made.json()["id"] == "cus_benchmark"
    assert page.json()["url"].startswith("https://")
    assert unknown.status_code == 404


async def test_a_silent_stripe_says_nothing() -> None:
    async with stripe(answers=False) as server, httpx.AsyncClient(timeout=0.2) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.post(f"http://127.0.0.1:{server.port}/v1/customers", data={"name": "Bench"})
