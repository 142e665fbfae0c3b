"""A month of events as a file: gzipped JSON lines, and a manifest that says what is in it.

Both appear under their names only when they are complete and on the disk.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

from app.kernel.rates import EXACT, plain

Manifest = dict[str, Any]

_DIGEST_LETTERS = 15
_READ_BYTES = 1 << 20


class Content:
    """Count, sums and digest of lines, worked out as the database does over its rows."""

    def __init__(self) -> None:
        self.events = 0
        self.voided = 0
        self.quantity = Decimal(0)
        self.tokens_in = 0
        self.tokens_out = 0
        self.cost_usd = Decimal(0)
        self.digest = 0

    def add(self, line: str) -> None:
        row = json.loads(line, parse_float=Decimal)
        self.events += 1
        self.voided += row["voided_at"] is not None
        self.quantity += Decimal(row["quantity"])
        self.tokens_in += row["tokens_in"]
        self.tokens_out += row["tokens_out"]
        self.cost_usd += Decimal(row["cost_usd"] or 0)
        letters = hashlib.md5(line.encode(), usedforsecurity=False).hexdigest()
        self.digest += int(letters[:_DIGEST_LETTERS], 16)

    def told(self) -> dict[str, str]:
        return told(vars(self))


def told(content: Mapping[Any, Any]) -> dict[str, str]:
    """Content as a manifest has it."""
    return {str(name): plain(Decimal(value)) for name, value in content.items()}


async def write(path: Path, pages: AsyncIterator[Sequence[str]]) -> None:
    """Write lines to a file that is either whole or not there. Equal lines make equal bytes."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as raw:
            # Without time and name, so that a second export of the same rows is the same file.
            with gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed:
                async for lines in pages:
                    packed.write("".join(f"{line}\n" for line in lines).encode())
            raw.flush()
            os.fsync(raw.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    _sync_folder(path.parent)


def write_manifest(path: Path, manifest: Manifest) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with partial.open("w") as file:
        json.dump(manifest, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    _sync_folder(path.parent)


def read(path: Path) -> Content:
    """What a file holds, read from the disk to its end. Raises `OSError` or `ValueError`."""
    content = Content()
    try:
        with localcontext(EXACT), gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
            for line in lines:
                content.add(line.removesuffix("\n"))
    except EOFError as error:
        raise ValueError(str(error)) from None
    return content


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
