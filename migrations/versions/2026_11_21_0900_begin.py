"""Every table of the first release, and the job queue's own."""

from alembic import op

from app.infra.jobs.schema import install_statements, uninstall_statements
from app.tables import metadata

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def run_script(script: str) -> None:
    op.get_bind().connection.dbapi_connection.run_async(
        lambda connection: connection.execute(script)
    )


def upgrade() -> None:
    metadata.create_all(op.get_bind())
    run_script(install_statements())


def downgrade() -> None:
    run_script(uninstall_statements())
    metadata.drop_all(op.get_bind())
