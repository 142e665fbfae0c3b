"""Plain requests of the lane, answered where their bytes arrive.

Under uvicorn each request gets a scope, an event, a task and three messages, and each header of
each answer is searched for characters that do not belong there; that is more than the work of a
hot operation. The protocol here, given to uvicorn in place of its own, takes a request only if the
lane would, on a connection that waits for nothing else, and writes the answer in one piece.
Everything else it hands to uvicorn as it came.

Clients that send one request after another mostly send the same head each time. A connection
remembers its last one that was plain, and does not read the same bytes twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextvars import copy_context
from typing import Any

import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from app.infra.http.lane import HotRequest, Lane, Served, lines_of
from app.infra.http.problems import internal_problem

_MAX_HEAD = 8_192

log = structlog.get_logger(__name__)


class _Nobody:
    """Whom uvicorn tells that a body grew or a client left: nobody waits for it here."""

    def set(self) -> None:
        pass


class _Head:
    """Everything before the body of a plain request that was read.

    The same bytes mean the same again, because each message is read on its own.
    """

    __slots__ = ("caller", "headers", "name", "query", "served", "size", "text")

    def __init__(
        self, served: Served, name: str, query: bytes, headers: dict[bytes, bytes], caller: bytes
    ) -> None:
        self.served = served
        self.name = name
        self.query = query
        self.headers = headers
        self.caller = caller
        self.text = b""
        """As it came; empty as long as that is not known."""
        self.size = -1
        """Of the whole request, with its body."""


class _Exchange:
    """A request that the lane serves, from its headers to its answer.

    To uvicorn it is the request that the connection works on: what is sent before the answer is
    out waits behind it as behind any other, and a server that leaves waits for it.
    """

    __slots__ = (
        "_context",
        "_operation",
        "_protocol",
        "body",
        "disconnected",
        "head",
        "keep_alive",
        "response_complete",
        "started_at",
    )

    message_event = _Nobody()

    def __init__(self, protocol: LaneProtocol, head: _Head) -> None:
        self._protocol = protocol
        self.head = head
        self.body = b""
        self.keep_alive = True
        self.disconnected = False
        self.response_complete = False
        self.started_at = time.perf_counter()

    def begin(self, lane: Lane) -> bool:
        """Start the operation; False where the request is not the lane's, and nothing was done."""
        self._context = copy_context()
        return self._context.run(self._begin, lane)

    def _begin(self, lane: Lane) -> bool:
        head = self.head
        principal = lane.admitted(head.served, head.caller, self.body)
        if principal is None:
            return False
        request = HotRequest(principal, head.headers, head.query, self.body, head.name)
        self._operation: Coroutine[Any, Any, tuple[int, bytes, bytes]] = lane.answered(
            head.served, request, self.started_at
        )
        if head.served.is_light:
            self._go_on()
        else:
            task = asyncio.get_running_loop().create_task(self._operation)
            # Among those that a server which leaves waits for; uvicorn's own answer nothing.
            self._protocol.tasks.add(task)  # type: ignore[arg-type]
            task.add_done_callback(self._end)
        return True

    def _end(self, task: asyncio.Task[tuple[int, bytes, bytes]]) -> None:
        self._protocol.tasks.discard(task)
        try:
            answer = task.result()
        except BaseException as error:  # noqa: BLE001 - the caller gets an answer
            self._fail(error)
        else:
            self._answer(*answer)

    def _go_on(self, _: object = None) -> None:
        """Run to the next future that is not done, and go on when it is.

        As a task would, without what makes tasks dear: being found among all of them.
        """
        try:
            awaited = self._operation.send(None)
        except StopIteration as end:
            self._answer(*end.value)
        except BaseException as error:  # noqa: BLE001 - the caller gets an answer
            self._fail(error)
        else:
            if awaited is None:
                asyncio.get_running_loop().call_soon(self._go_on, context=self._context)
                return
            awaited._asyncio_future_blocking = False  # noqa: SLF001 - as a task takes it over
            awaited.add_done_callback(self._go_on, context=self._context)

    def _fail(self, error: BaseException) -> None:
        log.error("http.broken_operation", path=self.head.served.path, exc_info=error)
        refusal = internal_problem()
        pairs = [pair for pair in refusal.raw_headers if pair[0] != b"content-length"]
        self._answer(refusal.status_code, bytes(refusal.body), lines_of(pairs))

    def _answer(self, status: int, body: bytes, lines: bytes) -> None:
        self.response_complete = True
        protocol = self._protocol
        transport = protocol.transport
        if not (self.disconnected or transport.is_closing()):
            always, closes = protocol.always()
            if closes:
                self.keep_alive = False
            elif not self.keep_alive:
                lines += b"connection: close\r\n"
            transport.write(
                b"%b%bcontent-length: %d\r\n%b\r\n%b"
                % (STATUS_LINE[status], always, len(body), lines, body)
            )
            if not self.keep_alive:
                transport.close()
        protocol.on_response_complete()


class LaneProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, for an application that a `Lane` stands before."""

    # The lines that every answer begins with, which uvicorn makes anew once a second.
    _always: tuple[list[tuple[bytes, bytes]], int, bytes, bool] = ([], 0, b"", False)

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._arriving: _Exchange | None = None
        self._lane = _lane_before(self.app)
        if config.access_log or self.limit_concurrency is not None or self.root_path:
            self._lane = None
        self._idle_since: float | None = None
        self._head: _Head | None = None
        self._whole: _Exchange | None = None
        self._is_between = True
        """Whether the parser waits for the first byte of a message."""

    def always(self) -> tuple[bytes, bool]:
        """The lines that every answer has, and whether they end the connection."""
        headers = self.server_state.default_headers
        known = LaneProtocol._always
        if known[0] is not headers or known[1] != len(headers):
            closes = any(name.lower() == b"connection" for name, _ in headers)
            known = LaneProtocol._always = (headers, len(headers), lines_of(headers), closes)
        return known[2], known[3]

    def data_received(self, data: bytes) -> None:
        head = self._head
        if (
            head is not None
            and len(data) == head.size
            and data.startswith(head.text)
            and self._is_between
            and not self._is_busy()
            and self._serve_again(head, data[len(head.text) :])
        ):
            return
        was_between = self._is_between
        self._whole = None
        super().data_received(data)
        if was_between and self._is_between and self._whole is not None:
            self._remember(self._whole, data)

    def _serve_again(self, head: _Head, body: bytes) -> bool:
        """Serve a request whose head was read before; False where the lane does not admit it."""
        assert self._lane is not None
        self._idle_since = None
        exchange = _Exchange(self, head)
        exchange.body = body
        self.cycle = exchange  # type: ignore[assignment]
        if exchange.begin(self._lane):
            return True
        self.cycle = None  # type: ignore[assignment]
        return False

    def _remember(self, exchange: _Exchange, data: bytes) -> None:
        """Keep the head of a request that *data* consisted of, and of nothing else."""
        end = data.find(b"\r\n\r\n") + 4
        if end + len(exchange.body) == len(data) and end <= _MAX_HEAD:
            head = self._head = exchange.head
            head.text, head.size = data[:end], len(data)

    def _is_busy(self) -> bool:
        """Whether something on this connection comes before what arrives now."""
        is_working = self.cycle is not None and not self.cycle.response_complete
        return is_working or bool(self.pipeline) or self.flow.write_paused

    # The parser calls the next five, in this order; what they raise would be a 400.

    def on_message_begin(self) -> None:
        self._is_between = False
        if self._lane is None:
            super().on_message_begin()
            return
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        if self._lane is None:
            super().on_headers_complete()
            return
        exchange = self._arriving = self._exchange(self._lane)
        if exchange is None:
            self._hand_on()
        else:
            self.cycle = exchange  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        if self._arriving is None:
            super().on_body(body)
        else:
            self._arriving.body += body

    def on_message_complete(self) -> None:
        self._is_between = True
        arrived, self._arriving = self._arriving, None
        self._whole = arrived
        if arrived is None or self._lane is None:
            super().on_message_complete()
        elif not arrived.begin(self._lane):
            # Nothing was begun, so nothing waits for it.
            self.cycle = None  # type: ignore[assignment]
            self._hand_on()
            super().on_body(arrived.body)
            super().on_message_complete()

    def _exchange(self, lane: Lane) -> _Exchange | None:
        """The request whose headers have come, if it is one for the lane."""
        if self._is_busy():
            return None
        parser = self.parser
        path, _, query = self.url.partition(b"?")
        if b"%" in path or b"#" in self.url:
            return None
        served, name = lane.at(path.decode("latin-1"), parser.get_method().decode("latin-1"))
        if served is None or parser.should_upgrade() or not parser.should_keep_alive():
            return None
        if self.expect_100_continue or parser.get_http_version() != "1.1":
            return None
        headers = lane.plain(self.headers, query)
        if headers is None or b"transfer-encoding" in headers:
            return None
        if not served.has_body and headers.get(b"content-length", b"0") != b"0":
            return None
        caller = lane.caller(served, headers)
        if caller is None:
            return None
        return _Exchange(self, _Head(served, name, query, headers, caller))

    def _hand_on(self) -> None:
        """Let uvicorn begin with the request whose headers have come."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers
        super().on_headers_complete()

    # uvicorn sets a timer after each answer and takes it back at the next request. Here one runs
    # on and looks, when it rings, how long the connection has been idle.

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_in(self.timeout_keep_alive)

    def _look_in(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._look_in(left)
        else:
            super().timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
        super().connection_lost(exc)


def _lane_before(app: Any) -> Lane | None:
    """The lane of the application that uvicorn was given, below what uvicorn put around it."""
    while app is not None:
        front = getattr(app, "front", None)
        if isinstance(front, Lane):
            return front
        app = getattr(app, "app", None)
    return None
