"""`python -m app.sandbox`: a Stripe account on a local port."""

import argparse
import asyncio
import contextlib
import logging
import os
import socket
import threading
from pathlib import Path

import uvicorn

from app.sandbox.app import create_sandbox
from app.sandbox.config import SandboxConfig


def main() -> None:
    options = _options()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    if options.db != ":memory:":
        Path(options.db).parent.mkdir(parents=True, exist_ok=True)
    listener = _listen(options.host, options.port)
    shown = f"[{options.host}]" if ":" in options.host else options.host
    address = f"http://{shown}:{listener.getsockname()[1]}"
    config = SandboxConfig(
        secret_key=options.secret_key,
        database=options.db,
        base_url=(options.public_url or address).rstrip("/"),
    )
    settings = uvicorn.Config(
        create_sandbox(config), log_level="warning", access_log=False, server_header=False
    )
    server = _Server(settings, address, options.ready_file)
    if options.exit_with_stdin:
        threading.Thread(target=_follow_parent, args=(server,), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(server.serve(sockets=[listener]))


class _Server(uvicorn.Server):
    """Tells where it listens once it does."""

    def __init__(self, settings: uvicorn.Config, address: str, ready_file: str | None) -> None:
        super().__init__(settings)
        self._address = address
        self._ready_file = ready_file

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self._ready_file:
            _announce(Path(self._ready_file), self._address)
        print(f"sandbox ready on {self._address}", flush=True)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, or asyncio leaves Nagle on and every answer waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    return listener


def _announce(ready: Path, address: str) -> None:
    # Renamed into place, so that whoever waits for the file never reads half an address.
    draft = ready.with_name(ready.name + ".tmp")
    draft.write_text(address)
    draft.replace(ready)


def _follow_parent(server: uvicorn.Server) -> None:
    """A parent that dies closes the pipe; nothing else tells its children."""
    # Not sys.stdin: the interpreter cannot shut down while a thread is inside its buffer.
    while os.read(0, 4096):
        pass
    server.should_exit = True


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="app.sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=12111, help="0 takes a free one")
    parser.add_argument("--db", default=":memory:", metavar="PATH")
    parser.add_argument("--secret-key", default=SandboxConfig.secret_key)
    parser.add_argument("--public-url", help="how browsers reach this server, if not directly")
    parser.add_argument("--ready-file", metavar="PATH", help="gets the base URL when ready")
    parser.add_argument("--exit-with-stdin", action="store_true", help="die with the parent")
    return parser.parse_args()


if __name__ == "__main__":
    main()
