"""What Alembic runs. The connection comes from `server.migrations.upgrade`, already inside a transaction."""

from alembic import context

from server.models import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
