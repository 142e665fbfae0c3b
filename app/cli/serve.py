"""`serve`: reserves the address, begins to load the API, and lets `deployment` do the rest."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from pathlib import Path

from app.cli.loading import quick_loading
from app.cli.processes import Child, bind
from app.infra.settings import Settings
from app.infra.telemetry.logging import configure_logging


def serve_until_stopped(
    settings: Settings, *, with_sandbox: bool, with_parent: int | None = None
) -> int:
    """Serve until SIGTERM or SIGINT, or until *with_parent* has died; return the exit code."""
    configure_logging(settings.log_level, json=settings.env == "production")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        # First, so that a port that is taken is told before anything has been started.
        listener = bind(settings.host, settings.port)
    except OSError as problem:
        where = f"{settings.host}:{settings.port}"
        print(f"Cannot listen on {where}: {problem.strerror}. Set ARAGORA_PORT.", file=sys.stderr)
        return 1
    with listener:
        environment = dict(os.environ)
        if settings.workers > 1:
            # The metrics library looks for it when it is imported, so it cannot be told later.
            environment["PROMETHEUS_MULTIPROC_DIR"] = str(_empty_metrics_folder(settings))
        descriptor = listener.fileno()
        command = [sys.executable, "-m", "app.cli.api", "--fd", str(descriptor)]
        apis = [
            Child(f"api-{number}", command, environment, descriptors=[descriptor])
            for number in range(settings.workers)
        ]
        for api in apis:
            api.start()
        # Only now: what this imports takes as long as what the API processes import meanwhile.
        with quick_loading():
            from app.cli.deployment import Deployment, DeploymentFailed

        deployment = Deployment(settings, listener.getsockname()[1], apis, stop, with_parent)
        try:
            deployment.run(with_sandbox=with_sandbox)
        except DeploymentFailed as problem:
            print(problem, file=sys.stderr)
            return 1
        finally:
            deployment.close()
        return 0


def _empty_metrics_folder(settings: Settings) -> Path:
    """Make the place where several API processes add up their counters.

    Counters of processes that are gone would be added to those of the new ones, so it begins empty.
    """
    folder = settings.data_dir.absolute() / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
