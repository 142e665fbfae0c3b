"""What is stored of one organization: taken down, put back, and told apart from another state."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.infra.db.base import Base, metadata
from app.kernel.ids import OrganizationId
from app.tables import PLATFORM_TABLES

WATCHED = ("app.subscriptions", "app.invoices", "app.payments", "app.recovery")
"""Features whose tables events change; with the organization's row and its quota windows."""
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TICKET = "applied_ticket"
STEP = 10
"""Between two neighbouring tickets of a state there is room for one that lies between them."""

_DUMP = """
create or replace function pg_temp_dump(tables text[], tenant uuid) returns jsonb
language plpgsql as $$
declare
  name text; found jsonb; answer jsonb := '{}';
begin
  foreach name in array tables loop
    execute format(
      'select coalesce(jsonb_agg(to_jsonb(t)), ''[]'') from %I t where %I = $1',
      name, case name when 'organizations' then 'id' else 'organization_id' end
    ) using tenant into found;
    answer := answer || jsonb_build_object(name, found);
  end loop;
  return answer;
end $$
"""
_RESTORE = """
create or replace function pg_temp_restore(tables text[], tenant uuid, state jsonb)
returns void language plpgsql as $$
declare
  name text; place int;
begin
  for place in reverse cardinality(tables)..1 loop
    if tables[place] <> 'organizations' then
      execute format('delete from %I where organization_id = $1', tables[place]) using tenant;
    end if;
  end loop;
  foreach name in array tables loop
    if name = 'organizations' then
      execute format(
        'update organizations set (%1$s) = (select %1$s from'
        ' jsonb_populate_recordset(null::organizations, $1)) where id = $2',
        (select string_agg(quote_ident(attname), ', ') from pg_attribute
         where attrelid = 'organizations'::regclass and attnum > 0 and not attisdropped
           and attname <> 'id')
      ) using state -> name, tenant;
    else
      execute format(
        'insert into %1$I select * from jsonb_populate_recordset(null::%1$I, $1)', name
      ) using state -> name;
    end if;
  end loop;
end $$
"""


def watched_tables() -> list[str]:
    """Names, those that others refer to first."""
    modules = {
        mapper.local_table.name: mapper.class_.__module__
        for mapper in Base.registry.mappers
        if hasattr(mapper.local_table, "name")
    }
    found = [
        table.name
        for table in metadata.sorted_tables
        if table.name not in PLATFORM_TABLES
        and modules.get(table.name, "").startswith(WATCHED)
        and "organization_id" in table.columns
    ]
    return ["organizations", "quota_windows", *found]


@dataclass(frozen=True)
class Stored:
    """The rows of one organization, exactly, and what of them makes a state."""

    text: str
    key: str
    """The same for two states that differ by generated ids and the height of tickets alone."""
    tickets: tuple[int, ...]
    """The distinct tickets on the rows, ascending."""

    @property
    def rows(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = json.loads(self.text)
        return found

    def names(self) -> dict[str, str]:
        """What Stripe calls the rows that have generated ids."""
        return {
            row["id"]: str(row.get(f"stripe_{table[:-1]}_id", table))
            for table, rows in self.rows.items()
            for row in rows
            if "id" in row
        }


class Rows:
    """Takes down and puts back over one connection."""

    def __init__(self, connection: AsyncConnection, organization_id: OrganizationId) -> None:
        self._connection = connection
        self._organization_id = organization_id
        self._tables = watched_tables()

    async def install(self) -> None:
        for statement in (_DUMP, _RESTORE):
            await self._connection.execute(text(statement))

    async def take(self) -> Stored:
        found = await self._connection.exec_driver_sql(
            "select pg_temp_dump($1::text[], $2)::text", (self._tables, self._organization_id)
        )
        raw = json.loads(found.scalar_one())
        tickets = sorted({row[_TICKET] for row in _rows(raw) if _TICKET in row})
        places = {ticket: (place + 1) * STEP for place, ticket in enumerate(tickets)}
        for row in _rows(raw):
            if _TICKET in row:
                row[_TICKET] = places[row[_TICKET]]
        return Stored(json.dumps(raw), _key(raw), tuple(tickets))

    async def put(self, stored: Stored) -> None:
        await self._connection.exec_driver_sql(
            "select pg_temp_restore($1::text[], $2, $3::text::jsonb)",
            (self._tables, self._organization_id, stored.text),
        )


def _rows(raw: dict[str, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    for rows in raw.values():
        yield from rows


def _key(raw: dict[str, list[dict[str, Any]]]) -> str:
    """The rows in an order that their content gives, generated ids named after that order."""
    ordered = {
        name: sorted(rows, key=lambda row: _UUID.sub("", json.dumps(row, sort_keys=True)))
        for name, rows in raw.items()
    }
    names: dict[str, str] = {}
    return _UUID.sub(
        lambda found: names.setdefault(found.group(), f"#{len(names)}"),
        json.dumps(ordered, sort_keys=True),
    )
