"""One API process of `serve`: uvicorn on a socket that the parent has bound."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import socket

import uvicorn

from app.cli.loading import quick_loading
from app.cli.processes import end_with_parent, wait_for_word
from app.infra.http.wire import LaneProtocol
from app.infra.settings import Settings

# Long enough for the slowest request that does its work; a proxy in front gives up at about this.
_DRAIN_SECONDS = 20

# Longer than proxies and clients keep theirs, so that it is them who close idle connections: the
# side that closes cannot know whether a request is on its way.
_IDLE_SECONDS = 75

# How long clients that keep their connections have to learn that this process is leaving.
_FAREWELL_SECONDS = 2.0


class Server(uvicorn.Server):
    """Leaves without cutting off a request that is on its way over an open connection.

    uvicorn closes connections that are idle at the moment, and with them what a client has just
    sent. This one takes no new connections, answers what still comes over the open ones with
    `Connection: close`, and closes those that stay silent after a farewell.
    """

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        # In place: requests that are being handled hold the same list.
        self.server_state.default_headers.append((b"connection", b"close"))
        clock = asyncio.get_running_loop().time
        end = clock() + _FAREWELL_SECONDS
        while self.server_state.connections and clock() < end and not self.force_exit:  # noqa: ASYNC110
            # uvicorn tells nobody when a connection ends.
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)


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
        http=LaneProtocol,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        timeout_keep_alive=_IDLE_SECONDS,
        backlog=2048,
    )
    Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
