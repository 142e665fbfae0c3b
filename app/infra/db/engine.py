"""The connection pool of a process."""

from typing import Any

import asyncpg
from sqlalchemy import URL, make_url
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

# A connection that was cut while it was idle says so by an internal error, which is neither of the
# other two.
DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

Sessions = async_sessionmaker[AsyncSession]

_STATEMENT_TIMEOUT_MS = 30_000
_IDLE_IN_TRANSACTION_TIMEOUT_MS = 60_000


def normalize_url(text: str) -> URL:
    """The URL with the asyncpg driver, whichever spelling of postgres the environment used."""
    url = make_url(text)
    if url.drivername in {"postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"}:
        url = url.set(drivername="postgresql+asyncpg")
    return url


def create_engine(url: str | URL, *, pool_size: int = 8) -> AsyncEngine:
    """An engine whose sessions speak UTC, give up on lost statements and notice a dead server."""
    return create_async_engine(
        normalize_url(url) if isinstance(url, str) else url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=10,
        pool_pre_ping=False,
        pool_recycle=1800,
        pool_use_lifo=True,
        connect_args={
            "timeout": 5,
            "server_settings": {
                "timezone": "UTC",
                "application_name": "aragora-billing",
                "statement_timeout": str(_STATEMENT_TIMEOUT_MS),
                "idle_in_transaction_session_timeout": str(_IDLE_IN_TRANSACTION_TIMEOUT_MS),
            },
        },
    )


def create_sessions(engine: AsyncEngine) -> Sessions:
    """Sessions that refuse to query outside a unit of work (`autobegin=False`)."""
    return async_sessionmaker(engine, autobegin=False, expire_on_commit=False)


def asyncpg_arguments(url: URL) -> dict[str, Any]:
    """Connection arguments for asyncpg itself, for the few places that bypass SQLAlchemy."""
    arguments: dict[str, Any] = {
        "user": url.username,
        "password": url.password,
        "database": url.database,
        "port": url.query.get("port") or url.port,
    }
    host = url.query.get("host") or url.host
    arguments["host"] = host
    ssl = url.query.get("ssl") or url.query.get("sslmode")
    if ssl:
        arguments["ssl"] = ssl
    return {name: value for name, value in arguments.items() if value is not None}
