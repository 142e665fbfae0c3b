"""Asking the database. Read-only, each check with a bound on its time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.doctor.domain import Check
from app.infra.db.repository import Repository

_CANCELED = "57014"


class DoctorQueries(Repository):
    """Reads across all features. Platform: invariants are about everybody's rows."""

    platform = True

    async def bound(self, seconds: int) -> None:
        """From here to the end of the unit nothing is written and no statement takes longer."""
        await self.session.execute(text("set transaction read only"))
        await self.session.execute(text(f"set local statement_timeout = '{seconds}s'"))

    async def archived_until(self) -> datetime | None:
        """Before this instant events may have left the database."""
        found: datetime | None = await self.session.scalar(
            text("select max(ends_at) from usage_archives")
        )
        return found

    async def ask(
        self, check: Check, given: Mapping[str, object], examples: int
    ) -> tuple[int, list[Mapping[str, Any]]] | None:
        """How many rows a check returns, and the first of them; None when it took too long."""
        asked = {name: value for name, value in given.items() if f":{name}" in check.sql}
        counted = text(
            f"with found as ({check.sql}) select to_jsonb(found) as row, count(*) over () as total"
            f" from found limit {examples}"
        )
        try:
            async with self.session.begin_nested():
                rows = (await self.session.execute(counted, asked)).all()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == _CANCELED:
                return None
            raise
        return (rows[0].total if rows else 0), [row.row for row in rows]
