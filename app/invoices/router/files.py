"""Answers that are files."""

from __future__ import annotations

import re

from fastapi import Response

_NOT_IN_A_FILE_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def file_name(name: str) -> str:
    """The name without what a header or a file system would take amiss."""
    return _NOT_IN_A_FILE_NAME.sub("-", name)


def a_file(content: bytes, media_type: str, name: str) -> Response:
    return Response(
        content,
        media_type=media_type,
        headers={"Content-Disposition": f'inline; filename="{file_name(name)}"'},
    )


def a_page(html: str, policy: str) -> Response:
    """A page under the policy of its own style sheet."""
    return Response(html, media_type="text/html", headers={"Content-Security-Policy": policy})
