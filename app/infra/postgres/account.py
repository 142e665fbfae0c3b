"""The operating-system account the server runs as: ours, unless we are root."""

import os
import pwd
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# PostgreSQL refuses to run as root, so root hands the server to one of these, the first that exists.
_ACCOUNTS_FOR_ROOT = ("postgres", "nobody")

# A server's tools read the locale and a dozen PG* variables from the environment. They get a fixed
# one, so that the caller's shell cannot change what a cluster looks like.
_ENVIRONMENT: Mapping[str, str] = {"LC_ALL": "C", "PATH": "/usr/local/bin:/usr/bin:/bin"}


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """Runs commands as the user that owns the cluster."""

    name: str
    uid: int
    gid: int
    is_ours: bool

    @classmethod
    def choose(cls) -> "ServerAccount":
        """Choose our own account, or for root an unprivileged one that exists on this machine."""
        if os.geteuid() != 0:
            uid = os.geteuid()
            return cls(name=f"uid {uid}", uid=uid, gid=os.getegid(), is_ours=True)
        for name in _ACCOUNTS_FOR_ROOT:
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(name=name, uid=entry.pw_uid, gid=entry.pw_gid, is_ours=False)
        names = " or ".join(_ACCOUNTS_FOR_ROOT)
        message = f"PostgreSQL cannot run as root and this machine has no user {names} to run it as"
        raise RuntimeError(message)

    def run(self, *command: str | Path, timeout: float = 90) -> subprocess.CompletedProcess[str]:
        """Run a command as this account and say how it ended; a failure is the caller's to judge."""
        dropped: dict[str, Any] = (
            {} if self.is_ours else {"user": self.uid, "group": self.gid, "extra_groups": []}
        )
        return subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd="/",
            env=_ENVIRONMENT,
            timeout=timeout,
            check=False,
            **dropped,
        )

    def can_enter(self, directory: Path) -> bool:
        """Tell whether this account may traverse *directory*, by trying: modes alone miss ACLs."""
        return self.run("/bin/sh", "-c", 'cd -- "$1"', "sh", directory).returncode == 0

    def give(self, path: Path) -> None:
        """Make this account the owner of a path that we have just created."""
        if not self.is_ours:
            os.chown(path, self.uid, self.gid)


def make_reachable(directory: Path) -> None:
    """Create *directory* so that everyone may pass through it, whatever the umask; leave one that is there."""
    try:
        directory.mkdir(parents=True)
    except FileExistsError:
        return
    directory.chmod(0o755)
