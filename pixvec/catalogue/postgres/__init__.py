"""The catalogue in Postgres."""

from pixvec.catalogue.interfaces import Catalogue
from pixvec.catalogue.postgres.bases import PostgresBaseStore
from pixvec.catalogue.postgres.collections import PostgresCollectionStore
from pixvec.catalogue.postgres.database import Database
from pixvec.catalogue.postgres.feed_reader import PostgresFeedReader
from pixvec.catalogue.postgres.feed_writer import PostgresFeedWriter
from pixvec.catalogue.postgres.images import PostgresImageReader
from pixvec.catalogue.postgres.jobs import PostgresJobStore
from pixvec.catalogue.postgres.models import PostgresModelStore
from pixvec.catalogue.postgres.topology import PostgresTopologyStore
from pixvec.catalogue.postgres.trainings import PostgresTrainingStore


def connect(database_url: str, *, pool_size: int = 8) -> Catalogue:
    """Open the catalogue. Raises DatabaseUnavailable, and SchemaMismatch when the database has another revision."""
    database = Database(database_url, pool_size=pool_size)
    try:
        database.check_schema()
    except BaseException:
        database.close()
        raise
    return Catalogue(
        collections=PostgresCollectionStore(database),
        images=PostgresImageReader(database),
        jobs=PostgresJobStore(database),
        feed_writer=PostgresFeedWriter(database),
        feed_reader=PostgresFeedReader(database),
        topology=PostgresTopologyStore(database),
        bases=PostgresBaseStore(database),
        trainings=PostgresTrainingStore(database),
        models=PostgresModelStore(database),
        close=database.close,
    )
