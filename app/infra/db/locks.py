"""Locks for things that have no row of their own."""

import hashlib

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


async def advisory_lock(session: AsyncSession, *name: object) -> None:
    """Hold the lock called *name* until the transaction ends; waits for whoever has it."""
    digest = hashlib.blake2b(repr(name).encode(), digest_size=8).digest()
    key = int.from_bytes(digest, "big", signed=True)
    await session.execute(text("select pg_advisory_xact_lock(:key)"), {"key": key})
