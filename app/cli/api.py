"""One API process of `serve`: uvicorn on a socket that the parent has bound."""

from __future__ import annotations

import argparse
import importlib
import socket

import uvicorn

from app.cli.loading import quick_loading
from app.cli.processes import end_with_parent, wait_for_word
from app.infra.settings import Settings

# Long enough for the slowest request that does its work; a proxy in front gives up at about this.
_DRAIN_SECONDS = 20


def main() -> None:
    """Serve until SIGTERM, then finish what was asked and return."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    listener = socket.socket(fileno=parser.parse_args().fd)
    # The imports take as long as the parent needs to bring the database up, so do both at once.
    with quick_loading():
        importlib.import_module("app.main")
    wait_for_word()
    end_with_parent()
    settings = Settings()
    config = uvicorn.Config(
        "app.main:create_app",
        factory=True,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        backlog=2048,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
