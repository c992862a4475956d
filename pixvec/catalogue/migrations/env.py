"""What alembic runs: the revisions, over the connection it was handed."""

from alembic import context

from pixvec.catalogue.models import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
