"""`make demo`: runs the story against a running service, or against one it starts."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from app.demo.account import remembered_account
from app.demo.story import ATTEMPTS, PLAN, QUOTA, DemoFailed, Story
from app.demo.trace import Call, exact_cost, name_of, read_files, synthetic
from app.infra.settings import Settings
from app.kernel.clock import SystemClock
from app.kernel.rates import plain

SYNTHETIC_CALLS = 5_000
_START_SECONDS = 90

console = Console()


def main() -> None:
    """Parse the command line, make sure a service runs, tell the story, exit 1 if it fails."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument(
        "--url", help="the service to use; default: this machine's, started if need be"
    )
    parser.add_argument(
        "--trace", nargs="+", type=Path, metavar="FILE", help="CSV traces to replay"
    )
    parser.add_argument(
        "--calls", type=int, default=SYNTHETIC_CALLS, help="synthetic calls to send"
    )
    arguments = parser.parse_args()
    settings = Settings()
    url = arguments.url or f"http://127.0.0.1:{settings.port}"
    calls = read_files(arguments.trace) if arguments.trace else synthetic(arguments.calls)
    try:
        with _service(url, may_start=arguments.url is None):
            asyncio.run(_tell(url, calls, settings.data_dir))
    except DemoFailed as failure:
        console.print(f"[bold red]Failed:[/] {failure}")
        sys.exit(1)


@contextmanager
def _service(url: str, *, may_start: bool) -> Iterator[None]:
    """Use the service at *url*; start one for as long as the demo runs if nobody answers."""
    if _answers(url):
        console.print(f"Using the service at [bold]{url}[/]")
        yield
        return
    if not may_start:
        raise DemoFailed(f"nobody answers at {url}")
    console.print("Starting the service…")
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "serve", "--end-with-parent"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
    )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise DemoFailed("the service did not start; `make run` shows why")
            time.sleep(0.2)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


async def _tell(url: str, calls: list[Call], data_dir: Path) -> None:
    account = remembered_account(data_dir / "demo" / f"{name_of(calls)}.json", SystemClock())
    timeout = httpx.Timeout(60)
    limits = httpx.Limits(max_connections=60)
    async with httpx.AsyncClient(base_url=url, timeout=timeout, limits=limits) as http:
        story = Story(http, account)
        organization = await story.sign_in()
        console.print(f"1. Signed in as {account.email}, organization {organization}")
        subscription = await story.subscribe(console.print)
        console.print(
            f"2. On [bold]{subscription['tier']}[/] by the hosted checkout page and a signed "
            f"webhook, until {subscription['current_period_end']}"
        )
        with _bars() as bars:
            task = bars.add_task("3. Reporting LLM calls", total=len(calls))
            sent = await story.send(calls, lambda count: bars.advance(task, count))
            task = bars.add_task("4. Asking for debates", total=ATTEMPTS)
            passed, refused, known = await story.hold_debates(
                lambda count: bars.advance(task, count)
            )
        summary = await story.summary(*_hours_around(account.end, calls))
        quota = await story.quota("debates")
        invoice = await story.newest_invoice()
        pdf = await story.invoice_pdf(invoice["id"])
        target = data_dir / f"{invoice['id']}.pdf"
        target.write_bytes(pdf)

    table = Table(title="What the service says", show_header=True)
    table.add_column("")
    table.add_column("service", justify="right")
    table.add_column("worked out here", justify="right")
    tokens = sum(call.tokens_in + call.tokens_out for call in calls)
    table.add_row("calls recorded now", f"{sent.recorded:,}", "")
    table.add_row("calls known already", f"{sent.duplicates:,}", "")
    table.add_row("calls refused", f"{sent.errors:,}", "0")
    table.add_row("tokens of the trace", f"{summary['total_tokens']:,}", f"{tokens:,}")
    table.add_row("cost, USD", summary["total_cost_usd"], plain(exact_cost(calls)))
    table.add_row("debates let through now", f"{passed}", "")
    table.add_row("debates refused, 402", f"{refused}", f"{ATTEMPTS - QUOTA}")
    table.add_row("debates used of the plan", f"{quota['used']} of {quota['limit']}", f"{QUOTA}")
    table.add_row(f"invoice {invoice['number']}", f"{invoice['total']} {invoice['currency']}", "")
    console.print(table)
    console.print(f"5. Invoice saved as {target} ({len(pdf):,} bytes)")

    wrong = [
        what
        for what, holds in (
            ("every call is recorded once", sent.errors == 0),
            ("tokens add up", int(summary["total_tokens"]) == tokens),
            ("cost is exact", Decimal(summary["total_cost_usd"]) == exact_cost(calls)),
            ("the quota holds to the unit", passed + known == QUOTA),
            ("the plan is the one that was bought", subscription["tier"] == PLAN),
        )
        if not holds
    ]
    if wrong:
        raise DemoFailed("; ".join(f"not so: {what}" for what in wrong))
    console.print("[bold green]All figures agree.[/]")


def _hours_around(end: datetime, calls: list[Call]) -> tuple[datetime, datetime]:
    """Whole hours that hold every call of a trace that ends at *end*."""
    start = end - max((call.offset for call in calls), default=timedelta(0))
    first = start.replace(minute=0, second=0, microsecond=0)
    last = end.replace(minute=0, second=0, microsecond=0)
    return first, last + timedelta(hours=1)


def _bars() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


if __name__ == "__main__":
    main()
