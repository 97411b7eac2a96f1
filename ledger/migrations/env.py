"""Alembic's entry: runs the migrations on the connection that ledger/migrate.py opened.

On SQLite all of them in one transaction, which the caller commits: Python's driver would end it at every
CREATE, and a migration that broke off would leave half of itself behind. PostgreSQL has one for each.
"""

from alembic import context
from sqlalchemy import Connection

from ledger.tables import METADATA


def begin(file: Connection) -> None:
    """Begin as the only writer. Foreign keys are not looked at meanwhile: a table that is made anew is
    dropped under its old name, and what belongs to its rows must not be deleted with it.
    """
    file.exec_driver_sql("PRAGMA foreign_keys=OFF")
    file.exec_driver_sql("BEGIN IMMEDIATE")


connection = context.config.attributes["connection"]
is_file = connection.dialect.name == "sqlite"
if is_file:
    begin(connection)
context.configure(
    connection=connection,
    target_metadata=METADATA,
    render_as_batch=is_file,
    transactional_ddl=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
