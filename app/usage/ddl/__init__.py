"""What the database needs beyond tables: the default partition and the functions."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, MetaData, event

from app.infra.db.base import metadata
from app.usage.ddl.gate import GATE
from app.usage.ddl.holds import EXPIRE, GIVE_BACK, HOLD_FREE, HOLD_LOCK, HOLD_RETURN
from app.usage.ddl.measures import MEASURES_COUNT, MEASURES_FIT
from app.usage.ddl.record import RECORD
from app.usage.ddl.record_one import RECORD_ONE
from app.usage.ddl.reserve import RESERVE
from app.usage.ddl.settle import SETTLE, SETTLE_LOCK
from app.usage.ddl.spend import PERIOD_END, PERIOD_START, SPEND_LOCK, SPEND_POST

DEFAULT_PARTITION = """
create table if not exists usage_events_default partition of usage_events default
"""

FUNCTIONS = {
    "usage_gate": GATE,
    "usage_period_start": PERIOD_START,
    "usage_period_end": PERIOD_END,
    "usage_spend_lock": SPEND_LOCK,
    "usage_spend_post": SPEND_POST,
    "usage_hold_lock": HOLD_LOCK,
    "usage_hold_free": HOLD_FREE,
    "usage_hold_return": HOLD_RETURN,
    "usage_reserve": RESERVE,
    "usage_give_back": GIVE_BACK,
    "usage_expire": EXPIRE,
    "usage_measures_fit": MEASURES_FIT,
    "usage_measures_count": MEASURES_COUNT,
    "usage_settle_lock": SETTLE_LOCK,
    "usage_settle": SETTLE,
    "usage_record": RECORD,
    "usage_record_one": RECORD_ONE,
}


def install(execute: Callable[[str], object]) -> None:
    """Put every function in place; those with another signature go first."""
    uninstall(execute)
    for text in FUNCTIONS.values():
        execute(text)


def uninstall(execute: Callable[[str], object]) -> None:
    """Drop every function."""
    for name in FUNCTIONS:
        execute(f"drop function if exists {name}")


def _create(target: MetaData, connection: Connection, **_: object) -> None:
    connection.exec_driver_sql(DEFAULT_PARTITION)
    install(connection.exec_driver_sql)


def _drop(target: MetaData, connection: Connection, **_: object) -> None:
    uninstall(connection.exec_driver_sql)


event.listen(metadata, "after_create", _create)
event.listen(metadata, "before_drop", _drop)
