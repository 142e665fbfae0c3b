"""The documentation pages in a real browser, which is told to refuse every other host."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright
from sqlalchemy import URL

from tests.support.process import Process

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
    pytest.mark.xdist_group("pages"),
]


@pytest.fixture(scope="module")
def process(database_url: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    data_dir: Path = tmp_path_factory.mktemp("pages")
    with Process(database_url, data_dir) as running:
        yield running


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        await opened.close()


@pytest.mark.parametrize(
    ("page_path", "landmark"),
    [("/docs", "text=Aragora Billing"), ("/redoc", "text=Aragora Billing")],
)
async def test_the_page_renders_and_asks_nobody_else(
    process: Process, browser: Browser, page_path: str, landmark: str
) -> None:
    asked: list[str] = []
    complaints: list[str] = []
    page = await browser.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on(
        "console",
        lambda message: (
            complaints.append(f"{message.text} {message.location}")
            if message.type == "error"
            else None
        ),
    )
    await page.goto(f"{process.url}{page_path}")
    await page.locator(landmark).first.wait_for(timeout=20_000)
    outside = [url for url in asked if not url.startswith((process.url, "data:", "blob:"))]
    assert not outside, outside
    assert not complaints, complaints
    await page.close()
