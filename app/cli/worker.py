"""`worker`: background jobs in a process of their own."""

from __future__ import annotations

import os

from app.cli.database import database
from app.cli.handover import remembered_environment
from app.infra.settings import Settings


def work_until_stopped(settings: Settings) -> int:
    """Work until SIGTERM or SIGINT; an embedded server or sandbox of a `serve` is used along."""
    from app import worker

    if settings.database_url is None:
        os.environ.update(remembered_environment(settings.data_dir))
        with database(settings) as url:
            os.environ["DATABASE_URL"] = url
            worker.main()
    else:
        worker.main()
    return 0
