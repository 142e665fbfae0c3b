"""A client that costs next to nothing, compiled here: `client.send` without its bodies.

The client in Python takes some 25 µs of a request's share of the machine, a fifth of what a single
event costs altogether; this one takes half of that, most of it the kernel's.
"""

from __future__ import annotations

import asyncio
import struct
import tempfile
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.client import Load
from benchmarks.compiler import compiled

_LENGTH = struct.Struct("=I")
_SOURCE = Path(__file__).with_name("lean_client.c")


def compile_client(directory: Path) -> Path | None:
    """The program, in *directory*; `None` where there is no C compiler or it cannot do it."""
    return compiled(_SOURCE, directory / "lean_client")


@asynccontextmanager
async def ready(
    program: Path, port: int, requests: Sequence[bytes], *, connections: int
) -> AsyncIterator[Callable[[], Awaitable[Load]]]:
    """The client with its connections open; what is yielded sends every request once.

    Raises `ConnectionError` when a connection breaks or an answer is not understood.
    """
    with tempfile.TemporaryDirectory() as directory:
        sent, found = Path(directory, "requests"), Path(directory, "results")
        with sent.open("wb") as file:
            file.writelines(part for each in requests for part in (_LENGTH.pack(len(each)), each))
        process = await asyncio.create_subprocess_exec(
            str(program),
            *(str(port), str(min(connections, len(requests))), str(sent), str(found)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
        if stdin is None or stdout is None or stderr is None:
            raise RuntimeError("a process without pipes")

        async def send() -> Load:
            stdin.write(b"g")
            if await process.wait() != 0:
                raise ConnectionError((await stderr.read()).decode().strip())
            results = array("d", found.read_bytes())
            latencies = results[1::2]
            statuses = [int(status) for status in results[2::2]]
            answers = [(number, status, b"") for number, status in enumerate(statuses)]
            return Load(results[0], list(latencies), Counter(statuses), answers)

        try:
            if await stdout.read(1) != b"r":
                raise ConnectionError((await stderr.read()).decode().strip())
            yield send
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
