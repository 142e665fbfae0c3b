"""PgQueuer's own tables, as the statements that a migration runs."""

from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment


def install_statements() -> str:
    """The SQL that creates the queue, its log, statistics, schedules and trigger."""
    return QueryBuilderEnvironment().build_install_query()


def uninstall_statements() -> str:
    """The SQL that removes what `install_statements` created."""
    return QueryBuilderEnvironment().build_uninstall_query()
