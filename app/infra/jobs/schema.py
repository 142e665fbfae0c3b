"""PgQueuer's own tables, as the statements that a migration runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment


def _queries() -> QueryBuilderEnvironment:
    # Imported late: a process that only asks which migrations there are does without.
    from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment

    return QueryBuilderEnvironment()


def install_statements() -> str:
    """The SQL that creates the queue, its log, statistics, schedules and trigger."""
    return _queries().build_install_query()


def uninstall_statements() -> str:
    """The SQL that removes what `install_statements` created."""
    return _queries().build_uninstall_query()
