"""Files packed one after the other into an archive that is read while it is written."""

from __future__ import annotations

import zipfile
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime
from typing import NamedTuple

_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""An archive knows no earlier moment."""


class Packed(NamedTuple):
    """A file to pack."""

    name: str
    at: datetime
    content: bytes


class _Sink:
    """What the archive writes into. It cannot be wound back, so sizes follow each file."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, piece: bytes) -> int:
        self._written += piece
        return len(piece)

    def flush(self) -> None:
        """Nothing is kept back."""

    def take(self) -> bytes:
        taken, self._written = bytes(self._written), bytearray()
        return taken


async def packed(files: AsyncIterator[Packed]) -> AsyncGenerator[bytes, None]:
    """The archive in pieces, a file each; in memory there is one file and the list of names.

    Two files of one name are told apart by a number.
    """
    sink = _Sink()
    names: dict[str, int] = {}
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        async for file in files:
            at = file.at.timetuple()[:6]
            entry = zipfile.ZipInfo(_told_apart(file.name, names), max(at, _EARLIEST))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.content)
            yield sink.take()
    yield sink.take()


def _told_apart(name: str, names: dict[str, int]) -> str:
    names[name] = names.get(name, 0) + 1
    if names[name] == 1:
        return name
    stem, dot, ending = name.rpartition(".")
    return f"{stem} ({names[name]}){dot}{ending}"
