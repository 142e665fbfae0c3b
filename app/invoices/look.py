"""How a seller's documents look: one colour and a logo."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from pathlib import Path

INK = "#1b1f24"
MAXIMUM_LOGO_BYTES = 1_000_000

_MINIMUM_CONTRAST = 4.5
_STARTS = {"png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff"}
_MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "svg": "image/svg+xml"}


class BadLook(ValueError):
    """A colour or a logo that documents cannot wear."""


@dataclass(frozen=True, slots=True)
class Logo:
    """A picture; `kind` is as typst names it: png, jpeg or svg."""

    content: bytes
    kind: str

    @property
    def media_type(self) -> str:
        return _MEDIA_TYPES[self.kind]

    @property
    def inline(self) -> str:
        """As an address that carries it."""
        return f"data:{self.media_type};base64,{base64.b64encode(self.content).decode()}"


@dataclass(frozen=True, slots=True)
class Look:
    """What headings and the largest figure are coloured in, and the picture at the top."""

    color: str = INK
    logo: Logo | None = None


def look_of(color: str, logo: Path | None) -> Look:
    """Raises `BadLook` for a colour that is none or is hard to read on white, and for a file that
    is no picture, too large or not there."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", color):
        raise BadLook(f"ARAGORA_DOCUMENT_COLOR: {color!r} is not like #1b1f24")
    if _contrast_to_white(color) < _MINIMUM_CONTRAST:
        raise BadLook(f"ARAGORA_DOCUMENT_COLOR: {color} is too light to be read on white")
    return Look(color.lower(), _read(logo) if logo is not None else None)


def _read(path: Path) -> Logo:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadLook(f"ARAGORA_DOCUMENT_LOGO: {path}: {error.strerror}") from None
    if len(content) > MAXIMUM_LOGO_BYTES:
        raise BadLook(f"ARAGORA_DOCUMENT_LOGO: {path} is larger than {MAXIMUM_LOGO_BYTES} bytes")
    for kind, start in _STARTS.items():
        if content.startswith(start):
            return Logo(content, kind)
    if b"<svg" in content[:1000]:
        return Logo(content, "svg")
    raise BadLook(f"ARAGORA_DOCUMENT_LOGO: {path} is no PNG, JPEG or SVG")


def _contrast_to_white(color: str) -> float:
    """As the web's accessibility guidelines work it out: 21 for black, 1 for white."""
    red, green, blue = (_linear(int(color[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def _linear(channel: float) -> float:
    bend: float = ((channel + 0.055) / 1.055) ** 2.4
    return channel / 12.92 if channel <= 0.04045 else bend
