"""`serve` starts from nothing, puts back what dies, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import httpx
import pytest

from app.cli.processes import Child
from app.cli.sandbox import SECRET_KEY
from app.infra.settings import Settings
from tests.support.process import ROOT, free_port

pytestmark = pytest.mark.slow

SETTINGS = {str(field.validation_alias) for field in Settings.model_fields.values()}


def environment(**ours: str) -> dict[str, str]:
    theirs = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    return {**theirs, "PYTHONPATH": str(ROOT), **ours}


def until(happens: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


class Serve:
    """A `serve` with nothing configured but where it listens and keeps its data."""

    def __init__(self, home: Path, **env: str) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._env = environment(ARAGORA_PORT=str(self.port), ARAGORA_DATA_DIR=str(home), **env)
        self._output = home / "output"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        # From another directory: a developer's .env must not decide what is tested.
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "serve"],
                env=self._env,
                cwd=self.home,
                stdout=output,
                stderr=output,
            )
        until(lambda: self._died() or "is ready at" in self.output, 90)
        assert not self._died(), self.output
        return self

    def _died(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    @property
    def output(self) -> str:
        return self._output.read_text()

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/ready", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def children(self, module: str = "") -> list[int]:
        assert self.process is not None
        mine = [pid for pid, parent in parents().items() if parent == self.process.pid]
        return [pid for pid in mine if module in command_of(pid)]

    def postmaster(self) -> int:
        return int((self.home / "postgres/cluster/postmaster.pid").read_text().split()[0])

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)


def parents() -> dict[int, int]:
    found: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            found[int(stat.parent.name)] = int(parent)
    return found


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


@pytest.fixture
def home() -> Iterator[Path]:
    # Not tmp_path: pytest makes its parents 0700, which the embedded server's user cannot enter.
    directory = Path(tempfile.mkdtemp(prefix="aragora-serve-"))
    directory.chmod(0o755)
    yield directory
    # A server that has just ended may still be clearing up after itself.
    until(lambda: _is_removed(directory))


def _is_removed(directory: Path) -> bool:
    with suppress(OSError):
        shutil.rmtree(directory)
    return not directory.exists()


@pytest.fixture
def serve(home: Path) -> Iterator[Serve]:
    if not Path("/proc/self/stat").exists():
        pytest.skip("looks at processes the way Linux shows them")
    server = Serve(home, ARAGORA_WORKERS="2")
    yield server.start()
    if server.process is not None and server.process.poll() is None:
        server.stop()


def test_it_needs_nothing_and_puts_back_what_dies(serve: Serve) -> None:
    """One start serves several questions, because each start costs seconds."""
    health = httpx.get(f"{serve.url}/health").json()
    assert health["parts"]["database"] == "embedded"
    assert health["parts"]["stripe"] == "sandbox"
    assert httpx.get(f"{serve.url}/docs").status_code == 200
    assert f"{serve.url}/docs" in serve.output
    assert "ARAGORA_JWT_SECRET is not set" in serve.output
    assert "http_request_seconds" in httpx.get(f"{serve.url}/metrics").text
    assert len(serve.children("app.cli.api")) == 2

    # The catalog's prices are for sale in the sandbox, and events go to the webhook.
    line = next(line for line in serve.output.splitlines() if line.startswith("  Stripe"))
    stripe = next(word for word in line.split() if word.startswith("http"))
    with httpx.Client(base_url=stripe, auth=(SECRET_KEY, "")) as http:
        prices = http.get("/v1/prices", params={"limit": 100}).json()["data"]
        (endpoint,) = http.get("/v1/webhook_endpoints").json()["data"]
    assert ("price_professional_month", 29_900) in {(p["id"], p["unit_amount"]) for p in prices}
    assert endpoint["url"] == f"{serve.url}/api/v1/webhooks/stripe"

    (sandbox,) = serve.children("app.sandbox")
    os.kill(sandbox, signal.SIGKILL)
    until(lambda: serve.children("app.sandbox") not in ([], [sandbox]))

    api = serve.children("app.cli.api")[0]
    os.kill(api, signal.SIGKILL)
    until(lambda: api not in (now := serve.children("app.cli.api")) and len(now) == 2)
    until(serve.is_ready)

    apis, postmaster = serve.children("app.cli.api"), serve.postmaster()
    os.kill(postmaster, signal.SIGKILL)
    until(lambda: "postgres_back" in serve.output)
    until(serve.is_ready)
    assert serve.postmaster() != postmaster
    assert serve.children("app.cli.api") == apis, "the application was not restarted"

    everything = {*serve.children(), serve.postmaster()}
    assert serve.stop() == 0
    assert everything.isdisjoint(parents())
    assert not (serve.home / "serve.json").exists()


def test_a_killed_one_takes_its_children_along_and_the_next_one_works(serve: Serve) -> None:
    account = {"email": "owner@example.com", "password": "correct horse battery", "name": "Owner"}
    httpx.post(f"{serve.url}/api/v1/auth/register", json=account).raise_for_status()
    children = serve.children()
    assert len(children) == 3
    assert serve.process is not None
    serve.process.kill()
    serve.process.wait()

    serve.start()  # at once, on the same port and the same data

    until(lambda: set(children).isdisjoint(parents()))
    credentials = {name: account[name] for name in ("email", "password")}
    httpx.post(f"{serve.url}/api/v1/auth/login", json=credentials).raise_for_status()
    assert serve.stop() == 0


def test_it_ends_with_whoever_started_it_where_that_is_asked(home: Path) -> None:
    """`make run` killed by SIGKILL must not leave a service on the port."""
    port = str(free_port())
    program = (
        "import subprocess, sys;"
        "subprocess.run([sys.executable, '-m', 'app.cli', 'serve', '--end-with-parent'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment(ARAGORA_PORT=port, ARAGORA_DATA_DIR=str(home)),
        cwd=home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as starter:
        until(lambda: answers(port), 90)
        starter.kill()
    until(lambda: not answers(port))
    until(lambda: not (home / "postgres/cluster/postmaster.pid").exists())


def answers(port: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/live", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def refused(home: Path, **env: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "serve"],
        env=environment(ARAGORA_DATA_DIR=str(home), **env),
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert not (home / "postgres/cluster/postmaster.pid").exists()
    return done.returncode, done.stdout


def test_a_taken_port_is_told_before_anything_is_started(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, said = refused(home, ARAGORA_PORT=str(taken.getsockname()[1]))
    assert code == 1
    assert "ARAGORA_PORT" in said
    assert list(home.iterdir()) == []


def test_a_wrong_catalog_is_refused_with_its_line(home: Path) -> None:
    (home / "catalog.yaml").write_text("name: mine\nwindow: fortnight\n")
    code, said = refused(home, ARAGORA_CATALOG=str(home / "catalog.yaml"), ARAGORA_PORT="0")
    assert code == 1
    assert "catalog.yaml, line 2" in said
    assert "Traceback" not in said


def test_production_is_refused_its_development_defaults(home: Path) -> None:
    code, said = refused(home, ARAGORA_ENV="production", STRIPE_SECRET_KEY="sk_test_not_to_show")
    assert code == 2
    assert "production needs ARAGORA_JWT_SECRET and DATABASE_URL" in said
    assert "not_to_show" not in said


def test_an_unreachable_database_is_told_in_a_line(home: Path) -> None:
    nowhere = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    code, said = refused(home, DATABASE_URL=nowhere, ARAGORA_PORT="0")
    assert code == 1
    assert "Traceback" not in said


def test_a_child_that_crashes_is_started_again_with_what_it_was_told(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    program = (
        "import os, sys; from app.cli.processes import wait_for_word; wait_for_word();"
        "open(sys.argv[1], 'a').write(os.environ['WORD']); os._exit(9)"
    )
    child = Child("crashing", [sys.executable, "-c", program, str(seen)], environment())
    child.start()
    child.tell({"WORD": "told."})

    def twice() -> bool:
        child.look_after()
        return seen.exists() and seen.read_text() == "told.told."

    until(twice)
    child.ask_to_stop()
    child.wait_stopped(5)
