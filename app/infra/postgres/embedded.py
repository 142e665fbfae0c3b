"""The server itself: initialize once, start, attach, stop."""

import fcntl
import hashlib
import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL

from app.infra.postgres.account import ServerAccount, make_reachable
from app.infra.postgres.binaries import Binaries, find_binaries

_SUPERUSER = "billing"
# A TCP port is never opened; the number only names the socket file.
_PORT = "5432"
# The kernel takes 107 bytes for a socket's path, macOS 103; "/.s.PGSQL.5432.lock" needs 19 of them.
_LONGEST_SOCKET_DIRECTORY = 80
# After kill -9 of the postmaster its children may hold the shared memory for some seconds more.
_PATIENCE_SECONDS = 60.0
_LOG_TAIL_BYTES = 2_000
_LARGEST_LOG_BYTES = 10_000_000

_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",  # two API processes and a worker with full pools, and an operator's psql
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_duration_statement": "1000",
}
# For tests: the data need not outlive a power failure. It still outlives a killed server, which
# switching synchronous_commit off would give up for little more speed.
_FORGETFUL = {"fsync": "off", "full_page_writes": "off"}


class EmbeddedPostgresFailed(RuntimeError):
    """The embedded server could not be started; the text says what it said."""


class EmbeddedPostgres:
    """A private PostgreSQL server in one directory, reached through a socket only its owner can open.

    Starting is safe to repeat and safe in several processes at once: the second one attaches.
    The server stops when the last process that started it stops it or has died and another
    one stops; a process that is killed leaves the server running for the next one to attach to.

    As root the server runs as an unprivileged user. Where that user cannot reach *data_dir*
    (a clone under a 0700 home), the cluster lives below *elsewhere* and `data_dir/cluster` is a
    link to it; the permissions of existing directories are never changed.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        durable: bool = True,
        elsewhere: Path = Path("/var/lib/aragora-billing"),
    ) -> None:
        self.data_dir = data_dir.absolute()
        self._elsewhere = elsewhere
        self._settings = _SETTINGS if durable else _SETTINGS | _FORGETFUL
        self._sync = () if durable else ("--no-sync",)
        self._account = ServerAccount.choose()
        self._programs: Binaries | None = None
        # Held, shared, as long as this process uses the server. The kernel lets go of it
        # when the process dies, which a counter in a file would not.
        self._usage_lock: int | None = None

    @property
    def cluster(self) -> Path:
        """Where the data really is, after following the link to a place the server can reach."""
        return (self.data_dir / "cluster").resolve()

    def start(self) -> None:
        """Bring the server up, or attach to it; returns when it takes connections."""
        with self._one_at_a_time():
            if self._usage_lock is None:
                self._usage_lock = _lock(self.data_dir / "in-use.lock", fcntl.LOCK_SH)
            try:
                self._ensure_cluster()
                self._ensure_socket_directory()
                self._boot()
            except BaseException:
                self._let_go()
                raise

    def stop(self) -> None:
        """Shut down cleanly, unless another process still uses the server. Twice is harmless."""
        if self._usage_lock is not None:
            with self._one_at_a_time():
                self._stop_if_last()

    def destroy(self) -> None:
        """Stop, and delete the data; does neither while another process still uses the server."""
        if self._usage_lock is None:
            return
        with self._one_at_a_time():
            if self._stop_if_last():
                cluster = self.cluster
                shutil.rmtree(self._socket_directory)
                shutil.rmtree(cluster, ignore_errors=True)  # often the same directory
                if (self.data_dir / "cluster").is_symlink():
                    cluster.parent.rmdir()
                shutil.rmtree(self.data_dir)

    def is_running(self) -> bool:
        """Tell whether someone listens on the server's socket, without starting a program to ask."""
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self._socket_directory / f".s.PGSQL.{_PORT}"))
            except OSError:
                return False
        return True

    def url(self, database: str) -> str:
        """Name *database* on this server as SQLAlchemy and asyncpg want it."""
        url = URL.create(
            "postgresql+asyncpg",
            username=_SUPERUSER,
            database=database,
            query={"host": str(self._socket_directory), "port": _PORT},
        )
        return url.render_as_string(hide_password=False)

    def ensure_database(self, name: str) -> None:
        """Create *name* unless it is there; two processes asking at once get one database."""
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):
            message = f"not a plain database name: {name!r}"
            raise ValueError(message)
        if not self._has_database(name):
            answer = self._psql(f'CREATE DATABASE "{name}"')
            if not self._has_database(name):
                raise EmbeddedPostgresFailed(answer)

    # Finding or making the cluster

    def _ensure_cluster(self) -> None:
        link = self.data_dir / "cluster"
        if link.is_symlink() and not self.cluster.parent.is_dir():
            message = (
                f"{link} points to {self.cluster}, which is gone. Put it back, or remove the link "
                "to begin with an empty database."
            )
            raise EmbeddedPostgresFailed(message)
        version_file = self.cluster / "PG_VERSION"
        if version_file.exists():
            self._check_owner()
            major = int(version_file.read_text())
            self._programs = find_binaries(self._account, major=major, reachable=self._elsewhere)
            return
        self._programs = find_binaries(self._account, major=None, reachable=self._elsewhere)
        if not link.is_symlink() and not self._account.can_enter(self.data_dir):
            link.symlink_to(self._make_reachable_home() / "cluster")
        self._initialize(self.cluster)

    def _check_owner(self) -> None:
        owner = self.cluster.stat().st_uid
        if owner != self._account.uid:
            message = (
                f"{self.cluster} belongs to uid {owner}, but the server would run as "
                f"{self._account.name}. Start it as the user who made it, or use another data directory."
            )
            raise EmbeddedPostgresFailed(message)
        if not self._account.can_enter(self.cluster):
            message = (
                f"The server runs as {self._account.name}, who can no longer reach {self.cluster}. "
                "Allow it to traverse the directories above (chmod o+x), or move the data elsewhere."
            )
            raise EmbeddedPostgresFailed(message)

    def _make_reachable_home(self) -> Path:
        try:
            make_reachable(self._elsewhere)
            home = Path(tempfile.mkdtemp(prefix="data-", dir=self._elsewhere))
        except OSError as problem:
            message = (
                f"As root, PostgreSQL has to run as {self._account.name}, who cannot reach "
                f"{self.data_dir}; nor can {self._elsewhere} be written ({problem.strerror}). Set "
                "ARAGORA_DATA_DIR to a directory others may traverse, or start as an ordinary user."
            )
            raise EmbeddedPostgresFailed(message) from problem
        home.chmod(0o711)
        return home

    def _initialize(self, cluster: Path) -> None:
        # Beside, then renamed: an initialization that was killed leaves no half cluster behind.
        draft = cluster.with_name("cluster.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        self._account.give(draft)
        made = self._run(
            *("initdb", "-D", draft, "-U", _SUPERUSER, "-A", "trust", "-E", "UTF8"),
            *("--no-locale", "--data-checksums", "--no-instructions", *self._sync),
        )
        if made.returncode != 0:
            raise EmbeddedPostgresFailed(made.stdout)
        draft.rename(cluster)

    # Starting

    def _boot(self) -> None:
        # postmaster.pid is never touched: PostgreSQL judges a stale one better than we could.
        deadline = time.monotonic() + _PATIENCE_SECONDS
        failures_without_leftovers = 0
        while True:
            ready = self._run("pg_isready", "-h", self._socket_directory, "-p", _PORT)
            if ready.returncode == 0:
                return
            attempt = ready
            if ready.returncode != 1:  # 1: it is there and still recovering, so wait for it
                self._trim_log()
                attempt = self._pg_ctl_start()
                if attempt.returncode == 0:
                    return
                # With nothing left of an earlier server, waiting will not cure what went wrong.
                if not (self.cluster / "postmaster.pid").exists():
                    failures_without_leftovers += 1
            if failures_without_leftovers > 1 or time.monotonic() > deadline:
                raise EmbeddedPostgresFailed(f"{attempt.stdout.strip()}\n{self._log_tail()}")
            time.sleep(0.5)

    def _pg_ctl_start(self) -> subprocess.CompletedProcess[str]:
        settings = self._settings | {"unix_socket_directories": str(self._socket_directory)}
        options = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in settings.items())
        return self._run(
            *("pg_ctl", "-D", self.cluster, "-w", "-t", "60", "-l", self._log),
            *("-o", f"-p {_PORT} {options}", "start"),
        )

    @property
    def _log(self) -> Path:
        return self.cluster / "server.log"

    def _trim_log(self) -> None:
        if self._log.exists() and self._log.stat().st_size > _LARGEST_LOG_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))

    def _log_tail(self) -> str:
        if not self._log.exists():
            return ""
        return self._log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")

    # The socket

    @property
    def _socket_directory(self) -> Path:
        # Inside the cluster it is private, found by every process, and removed with the data.
        inside = self.cluster
        if len(os.fsencode(inside)) <= _LONGEST_SOCKET_DIRECTORY and "," not in str(inside):
            return inside
        digest = hashlib.sha256(os.fsencode(inside)).hexdigest()[:12]
        # Not tempfile.gettempdir(): a process with another TMPDIR has to find the same socket.
        return Path("/tmp") / f"aragora-{self._account.uid}-{digest}"  # noqa: S108

    def _ensure_socket_directory(self) -> None:
        directory = self._socket_directory
        if directory == self.cluster:
            return
        try:
            directory.mkdir(mode=0o700)
            self._account.give(directory)
        except FileExistsError:
            # The name can be guessed, so someone else may have been there first.
            found = directory.lstat()
            if found.st_uid != self._account.uid or found.st_mode & 0o777 != 0o700:
                message = (
                    f"{directory} is not a private directory of {self._account.name}; remove it"
                )
                raise EmbeddedPostgresFailed(message) from None

    # Stopping

    def _stop_if_last(self) -> bool:
        self._let_go()
        try:
            last = _lock(self.data_dir / "in-use.lock", fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        try:
            if (self.cluster / "postmaster.pid").exists():
                self._run("pg_ctl", "-D", self.cluster, "-w", "-t", "60", "-m", "fast", "stop")
        finally:
            os.close(last)
        return True

    # Programs and locks

    def _run(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        if self._programs is None:
            message = "the server has not been started by this process"
            raise RuntimeError(message)
        return self._account.run(self._programs.directory / program, *arguments)

    def _psql(self, statement: str) -> str:
        return self._run(
            *("psql", "-X", "-q", "-A", "-t", "-h", self._socket_directory, "-p", _PORT),
            *("-U", _SUPERUSER, "-d", "postgres", "-c", statement),
        ).stdout.strip()

    def _has_database(self, name: str) -> bool:
        return self._psql(f"SELECT datname FROM pg_database WHERE datname = '{name}'") == name

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        descriptor = _lock(self.data_dir / "start-stop.lock", fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(descriptor)

    def _let_go(self) -> None:
        if self._usage_lock is not None:
            os.close(self._usage_lock)
            self._usage_lock = None


def _lock(path: Path, kind: int) -> int:
    """Lock *path* and return the descriptor that holds the lock until it is closed."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # the directory was deleted in between
        try:
            fcntl.flock(descriptor, kind)
            # Whoever held it before may have deleted the file: then this locks nothing.
            if _is_still_at(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_still_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
