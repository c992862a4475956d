"""Collections with their spaces and shards."""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, text

from pixvec.catalogue.postgres.database import Store, reading, transaction
from pixvec.catalogue.postgres.jobs.lifecycle import UNFINISHED
from pixvec.catalogue.postgres.purge import purge
from pixvec.catalogue.postgres.routing import place_shards, touch_routing
from pixvec.catalogue.postgres.rows import COLLECTION_COLUMNS, from_spaces, to_collection
from pixvec.catalogue.spaces import with_index
from pixvec.domain import Collection, IndexSettings, Space
from pixvec.errors import CollectionExists, CollectionNotFound

_INSERT = f"""
INSERT INTO collections AS c (name, spaces, shard_count) VALUES (:name, CAST(:spaces AS jsonb), :shard_count)
ON CONFLICT (name) WHERE deleted_at IS NULL DO NOTHING RETURNING {COLLECTION_COLUMNS}
"""
_INSERT_SHARDS = """
INSERT INTO shards (collection_id, shard) SELECT :collection_id, generate_series(0, :shard_count - 1)
"""
_SELECT = f"SELECT {COLLECTION_COLUMNS} FROM collections c WHERE c.deleted_at IS NULL"
_SET_SPACES = "UPDATE collections SET spaces = CAST(:spaces AS jsonb) WHERE collection_id = :collection_id"
_COUNT = """
SELECT sum(s.live_images) FROM shards s JOIN collections c USING (collection_id)
WHERE s.collection_id = :collection_id AND c.deleted_at IS NULL
"""
_HIDE = "UPDATE collections SET deleted_at = now() WHERE name = :name AND deleted_at IS NULL RETURNING collection_id"
_FAIL_JOBS = f"""
UPDATE jobs SET closed_at = coalesce(closed_at, now()), ended_at = now(), reason = :reason, message = :message
WHERE collection_id = :collection_id AND {UNFINISHED} RETURNING job_id
"""
_FAIL_CHUNKS = """
UPDATE job_chunks SET failed = failed + open_items, open_items = 0, lease_owner = NULL, lease_expires = NULL,
    ended_at = now()
WHERE job_id = ANY(CAST(:job_ids AS uuid[])) AND open_items > 0
"""
_SETTLE = """
UPDATE jobs j SET total = s.total, indexed = s.indexed, failed = s.failed
FROM (SELECT job_id, sum(size) AS total, sum(indexed) AS indexed, sum(failed) AS failed FROM job_chunks
      WHERE job_id = ANY(CAST(:job_ids AS uuid[])) GROUP BY job_id) s
WHERE j.job_id = s.job_id
"""


class PostgresCollectionStore(Store):
    """CollectionStore in Postgres."""

    @transaction
    def create(
        self, connection: Connection, name: str, spaces: Sequence[Space], shard_count: int, replicas: int = 1
    ) -> Collection:
        """Create a collection with its shards' counters, placed on live searchers. Raises CollectionExists."""
        values = {"name": name, "spaces": from_spaces(spaces), "shard_count": shard_count}
        row = connection.execute(text(_INSERT), values).one_or_none()
        if row is None:
            raise CollectionExists(f"collection {name!r} exists: use it, or choose another name", field="collection")
        shards = {"collection_id": row.collection_id, "shard_count": shard_count}
        connection.execute(text(_INSERT_SHARDS), shards)
        place_shards(connection, row.collection_id, shard_count, replicas)
        return to_collection(row)

    @reading
    def get(self, connection: Connection, name: str) -> Collection:
        """Raises CollectionNotFound."""
        row = connection.execute(text(f"{_SELECT} AND c.name = :name"), {"name": name}).one_or_none()
        if row is None:
            raise _not_found(name)
        return to_collection(row)

    @reading
    def get_by_id(self, connection: Connection, collection_id: int) -> Collection:
        """Raises CollectionNotFound."""
        of_collection = {"collection_id": collection_id}
        row = connection.execute(text(f"{_SELECT} AND c.collection_id = :collection_id"), of_collection).one_or_none()
        if row is None:
            raise CollectionNotFound(f"collection {collection_id} has been deleted", field="collection")
        return to_collection(row)

    @reading
    def page(self, connection: Connection, after_name: str, limit: int) -> list[Collection]:
        """Return up to `limit` collections with names above `after_name`, by name."""
        statement = text(f"{_SELECT} AND c.name > :after ORDER BY c.name LIMIT :limit")
        return [to_collection(row) for row in connection.execute(statement, {"after": after_name, "limit": limit})]

    @transaction
    def change_index(
        self, connection: Connection, name: str, space: str, change: Callable[[IndexSettings], IndexSettings]
    ) -> Collection:
        """Give a space other index settings, or every space. Raises CollectionNotFound, SpaceNotFound."""
        row = connection.execute(text(f"{_SELECT} AND c.name = :name FOR UPDATE"), {"name": name}).one_or_none()
        if row is None:
            raise _not_found(name)
        changed = with_index(to_collection(row), space, change)
        values = {"collection_id": changed.collection_id, "spaces": from_spaces(changed.spaces)}
        connection.execute(text(_SET_SPACES), values)
        return changed

    @reading
    def count_images(self, connection: Connection, collection_id: int) -> int:
        """Return the number of images that can be found."""
        return int(connection.execute(text(_COUNT), {"collection_id": collection_id}).scalar() or 0)

    @transaction
    def delete(self, connection: Connection, name: str) -> None:
        """Take the collection out of sight at once and fail its open jobs. Raises CollectionNotFound."""
        collection_id = connection.execute(text(_HIDE), {"name": name}).scalar()
        if collection_id is None:
            raise _not_found(name)
        error = CollectionNotFound(f"collection {name!r} was deleted")
        values = {"collection_id": collection_id, "reason": error.reason, "message": error.message}
        job_ids = {"job_ids": list(connection.execute(text(_FAIL_JOBS), values).scalars())}
        connection.execute(text(_FAIL_CHUNKS), job_ids)
        connection.execute(text(_SETTLE), job_ids)
        connection.execute(text("DELETE FROM placements WHERE collection_id = :id"), {"id": collection_id})
        touch_routing(connection)

    @transaction
    def purge(self, connection: Connection, limit: int) -> int:
        """Remove up to `limit` rows of deleted collections. Return how many were removed; 0 means nothing is left."""
        return purge(connection, limit)


def _not_found(name: str) -> CollectionNotFound:
    return CollectionNotFound(f"no collection {name!r}: create it first, or see the list", field="collection")
