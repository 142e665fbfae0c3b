"""Password hashing that keeps out of the event loop's way.

New hashes are argon2id. Hashes imported from the predecessor are `sha256$salt$digest`, where the
digest is the lower-case hex SHA-256 of the UTF-8 bytes of salt and password, in this order; they
verify, and the answer carries the argon2id hash that should take their place.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import passlib.utils.handlers as uh
from passlib.context import CryptContext

from app.kernel.errors import Unavailable

# OWASP's first choice for argon2id (46 MiB, one pass, one lane): about 50 ms. RFC 9106's 64 MiB
# with three passes takes four times as long, which on two cores buys an attacker's delay with an
# outage at five logins a second. One lane, because lanes are threads that compete with the loop.
MEMORY_KIB = 47_104
PASSES = 1
LANES = 1

_MAX_WAITING = 200

# A tenth of the weight of everybody else: enough to go on under full load.
_NICE = 10


class TooManySignIns(Unavailable):
    """Too many people are signing in at this moment; try again shortly."""

    code = "busy"


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether a password fits, and the hash to store in place of an outdated one."""

    is_correct: bool
    replacement: str | None = None


class _SaltedSha256(uh.HasSalt, uh.GenericHandler):  # type: ignore[misc, unused-ignore]
    """`sha256$salt$digest`, only ever verified."""

    name = "salted_sha256"
    ident = "sha256$"
    setting_kwds = ("salt", "salt_size")
    default_salt_size = 32
    max_salt_size = 128
    salt_chars = "".join(chr(code) for code in range(33, 127) if chr(code) != "$")
    checksum_chars = uh.LOWER_HEX_CHARS
    checksum_size = 64

    @classmethod
    def from_string(cls, hash: str, **_: Any) -> _SaltedSha256:  # noqa: A002
        salt, digest = uh.parse_mc2(hash, cls.ident, handler=cls)
        if not salt or not digest:
            raise ValueError("a stored hash has a salt and a digest")
        return cls(salt=salt, checksum=digest)

    def to_string(self) -> str:
        return str(uh.render_mc2(self.ident, self.salt, self.checksum))

    def _calc_checksum(self, secret: str | bytes) -> str:
        password = secret.encode() if isinstance(secret, str) else secret
        return hashlib.sha256(self.salt.encode() + password).hexdigest()


def _give_way() -> None:
    """Let this thread have what the loop and the database leave of the processors.

    A hash takes a core for 50 ms. On two cores, whoever signs in would take every other turn from
    those who only read.
    """
    if sys.platform == "linux":
        # Linux keeps a priority for each thread; elsewhere this would slow the whole process.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


class Passwords:
    """Hashes and verifies on a thread of its own, so that sign-ins queue and the loop does not.

    One thread bounds memory and CPU; more than 200 waiting raise `TooManySignIns`.
    """

    def __init__(
        self, *, memory_kib: int = MEMORY_KIB, passes: int = PASSES, threads: int = 1
    ) -> None:
        self._context = CryptContext(
            schemes=["argon2", _SaltedSha256],
            deprecated=["salted_sha256"],
            argon2__type="ID",
            argon2__memory_cost=memory_kib,
            argon2__time_cost=passes,
            argon2__parallelism=LANES,
        )
        self._decoy: str = self._context.hash("what nobody typed")
        self._executor = ThreadPoolExecutor(
            threads, thread_name_prefix="passwords", initializer=_give_way
        )
        self._waiting = 0

    async def hash(self, password: str) -> str:
        return str(await self._run(self._context.hash, password))

    async def verify(self, password: str, stored: str | None) -> Verification:
        """Compare. Without a stored hash, or with a fast old one, a refusal takes as long."""
        answer: Verification = await self._run(self._verify, password, stored)
        return answer

    def recognizes(self, stored: str) -> bool:
        """Whether a password could ever be verified against *stored*."""
        scheme = self._context.identify(stored, resolve=True)
        if scheme is None:
            return False
        try:
            scheme.from_string(stored)
        except ValueError:
            return False
        return True

    async def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password: str, stored: str | None) -> Verification:
        if stored is None:
            self._context.verify(password, self._decoy)
            return Verification(is_correct=False)
        is_correct, replacement = self._context.verify_and_update(password, stored)
        if not is_correct and not stored.startswith("$argon2"):
            self._context.verify(password, self._decoy)
        return Verification(bool(is_correct), replacement)

    async def _run(self, work: Any, *arguments: object) -> Any:
        if self._waiting >= _MAX_WAITING:
            raise TooManySignIns(retry_after_seconds=5)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._executor, work, *arguments
            )
        finally:
            self._waiting -= 1
