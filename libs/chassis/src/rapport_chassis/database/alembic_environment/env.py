"""What Alembic runs for every service; `rapport_chassis.database.migration_files` says how."""

from alembic import context

context.configure(**context.config.attributes["options"])
with context.begin_transaction():
    context.run_migrations()
