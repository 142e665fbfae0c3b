"""Tenancy by construction: keys begin with the tenant (architecture 8)."""

from typing import cast

import pytest
from sqlalchemy import ForeignKeyConstraint, Index, Table, UniqueConstraint

from app.infra.db.base import Base, PlatformTable, TenantTable
from app.tables import PLATFORM_TABLES, metadata

TENANT_COLUMN = "organization_id"


def concrete(kind: type[Base]) -> list[type[Base]]:
    found: list[type[Base]] = []
    for child in kind.__subclasses__():
        if "__tablename__" in vars(child):
            found.append(child)
        found.extend(concrete(child))
    return found


def tables(kind: type[Base]) -> list[Table]:
    return [cast("Table", model.__table__) for model in concrete(kind)]


TENANT_TABLES = tables(TenantTable)


def test_there_are_tenant_tables() -> None:
    assert TENANT_TABLES


def test_every_table_is_a_tenants_or_is_listed_with_a_reason() -> None:
    tenant = {table.name for table in TENANT_TABLES}
    platform = {table.name for table in tables(PlatformTable)}
    assert platform == set(PLATFORM_TABLES), "list platform tables in app/tables.py, and no others"
    assert all(len(reason) > 10 for reason in PLATFORM_TABLES.values())
    assert {table.name for table in metadata.sorted_tables} == tenant | platform


@pytest.mark.parametrize("table", TENANT_TABLES, ids=lambda table: table.name)
def test_keys_of_a_tenant_table_begin_with_the_tenant(table: Table) -> None:
    assert next(iter(table.primary_key.columns)).name == TENANT_COLUMN
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint | ForeignKeyConstraint):
            first = next(iter(constraint.columns)).name
            assert first == TENANT_COLUMN, f"{constraint.name} begins with {first}"
    for index in table.indexes:
        if index.unique:
            assert _first(index) == TENANT_COLUMN, f"unique {index.name} spans tenants"


def _first(index: Index) -> str:
    return next(iter(index.columns)).name


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_money_is_never_a_float(table: Table) -> None:
    floats = {
        column.name for column in table.columns if column.type.__visit_name__ in {"float", "real"}
    }
    assert floats <= {"expires_at"}, floats
