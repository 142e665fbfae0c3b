"""The database of a front door: the configured one, or the embedded server for as long as it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.infra.postgres.embedded import EmbeddedPostgres
from app.infra.settings import Settings

NAME = "billing"


@contextmanager
def database(settings: Settings) -> Iterator[str]:
    """Give the URL of a database that takes connections."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    server = embedded(settings)
    server.start()
    try:
        server.ensure_database(NAME)
        yield server.url(NAME)
    finally:
        server.stop()


def embedded(settings: Settings) -> EmbeddedPostgres:
    """The server below the data directory, not yet started."""
    return EmbeddedPostgres(settings.data_dir / "postgres")
