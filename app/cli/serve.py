"""`serve`: reserves the address, begins to load the API, and lets `deployment` do the rest."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import threading
from pathlib import Path

from app.cli.loading import quick_loading
from app.cli.processes import Child, bind
from app.cli.sandbox import BundledStripe
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
        try:
            settings.data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            where = f"{settings.data_dir}: {problem.strerror}"
            print(f"Cannot write to {where}. Set ARAGORA_DATA_DIR.", file=sys.stderr)
            return 1
        port = listener.getsockname()[1]
        apis = _start_apis(settings, listener)
        stripe = None
        if with_sandbox and not settings.stripe_configured and settings.env != "production":
            stripe = BundledStripe(settings.data_dir, port)
            stripe.start()
        # Only now: what this imports takes as long as what the others import meanwhile.
        with quick_loading():
            from app.cli.deployment import Deployment, DeploymentFailed

        deployment = Deployment(settings, port, apis, stripe, stop, with_parent)
        try:
            deployment.run()
        except DeploymentFailed as problem:
            print(problem, file=sys.stderr)
            return 1
        finally:
            # Else connections would queue here that nobody will take any more.
            listener.close()
            deployment.close()
        return 0


def _start_apis(settings: Settings, listener: socket.socket) -> list[Child]:
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
    return apis


def _empty_metrics_folder(settings: Settings) -> Path:
    """Make the place where several API processes add up their counters.

    Counters of processes that are gone would be added to those of the new ones, so it begins empty.
    """
    folder = settings.data_dir.absolute() / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
