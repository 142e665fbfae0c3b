"""What every repository is made of."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select
from sqlalchemy.ext.asyncio import AsyncSession

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.errors import Malformed
from app.kernel.pages import Page, PageRequest

T = TypeVar("T")


class MalformedCursor(Malformed):
    """That cursor did not come from this list."""

    code = "malformed_cursor"


def encode_cursor(position: UUID) -> str:
    return base64.urlsafe_b64encode(position.bytes).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> UUID:
    """Raises `MalformedCursor`."""
    try:
        return UUID(bytes=base64.b64decode(cursor + "==", altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise MalformedCursor from None


class Repository:
    """Reads and writes the tables of one feature, inside whatever unit is open.

    It never commits. `get` raises `NotFound`, `find` may return None, `list_*` pages, `add`
    stores, `claim_*` locks. Every method takes `organization_id` first, unless its name ends in
    `_for_operators`, `_for_platform` or `_due`, or the class is `platform`: then its tables belong
    to nobody.
    """

    platform: ClassVar[bool] = False

    def __init__(self, work: UnitOfWork) -> None:
        self._work = work

    @property
    def session(self) -> AsyncSession:
        return self._work.session

    async def page(
        self,
        query: Select[T],
        request: PageRequest,
        position: ColumnElement[UUID] | Any,
        position_of: Callable[[T], UUID],
    ) -> Page[T]:
        """One page of *query*, newest first by the UUIDv7 column *position* (keyset, no offset)."""
        if request.cursor is not None:
            query = query.where(position < decode_cursor(request.cursor))
        query = query.order_by(position.desc()).limit(request.limit + 1)
        rows: Sequence[T] = (await self.session.scalars(query)).all()
        items = list(rows[: request.limit])
        more = len(rows) > request.limit
        return Page(items, encode_cursor(position_of(items[-1])) if more else None)
