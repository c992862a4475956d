"""The change feed, as followers read it."""

from collections import defaultdict

from sqlalchemy import Connection, text

from pixvec.catalogue.interfaces import FeedEntry, FeedPage
from pixvec.catalogue.postgres.database import Store, driver_errors, reading, transaction
from pixvec.errors import CollectionNotFound

# One statement, hence one snapshot: the head is the head as of these rows.
_READ = """
SELECT s.epoch, s.head_seq, s.tombstone_floor, f.seq, f.image_id, f.deleted, f.record
FROM shards s JOIN collections c ON c.collection_id = s.collection_id AND c.deleted_at IS NULL
LEFT JOIN LATERAL (
    SELECT seq, image_id, deleted, record FROM feed
    WHERE collection_id = s.collection_id AND shard = s.shard AND seq > %(after_seq)s
        AND (NOT deleted OR %(after_seq)s > 0)
    ORDER BY seq LIMIT %(limit)s
) f ON TRUE
WHERE s.collection_id = %(collection_id)s AND s.shard = %(shard)s
ORDER BY f.seq
"""
_PRUNABLE = """
SELECT f.collection_id, f.shard, f.seq
FROM feed f JOIN (
    SELECT collection_id, shard, min(snapshot_seq) AS passed FROM placements GROUP BY collection_id, shard
) p USING (collection_id, shard)
WHERE f.deleted AND f.seq <= p.passed
ORDER BY f.collection_id, f.shard, f.seq LIMIT :limit
"""
_RAISE_FLOOR = """
UPDATE shards SET tombstone_floor = greatest(tombstone_floor, :floor)
WHERE collection_id = :collection_id AND shard = :shard
"""
_PRUNE = "DELETE FROM feed WHERE collection_id = :collection_id AND shard = :shard AND deleted AND seq <= :floor"


class PostgresFeedReader(Store):
    """FeedReader in Postgres."""

    @reading
    def read(self, connection: Connection, collection_id: int, shard: int, after_seq: int, limit: int) -> FeedPage:
        """Return up to `limit` rows above `after_seq`, by seq; from 0, live rows only. Raises CollectionNotFound."""
        driver = connection.connection.driver_connection
        assert driver is not None
        values = {"collection_id": collection_id, "shard": shard, "after_seq": after_seq, "limit": limit}
        # A binary cursor: records come as they are instead of as hexadecimal text.
        with driver_errors(connection), driver.cursor(binary=True) as cursor:
            rows = cursor.execute(_READ, values).fetchall()
        if not rows:
            raise CollectionNotFound(f"collection {collection_id} has no shard {shard}, or was deleted")
        epoch, head_seq, tombstone_floor = rows[0][:3]
        entries = tuple(FeedEntry(*row[3:]) for row in rows if row[3] is not None)
        through_seq = entries[-1].seq if len(entries) == limit else head_seq
        return FeedPage(str(epoch), through_seq, head_seq, entries, tombstone_floor)

    @transaction
    def prune_tombstones(self, connection: Connection, limit: int) -> int:
        """Remove tombstones that the snapshot of every replica has passed, raising the shard's floor."""
        floors: dict[tuple[int, int], int] = defaultdict(int)
        for row in connection.execute(text(_PRUNABLE), {"limit": limit}):
            floors[row.collection_id, row.shard] = row.seq
        removed = 0
        for (collection_id, shard), floor in floors.items():
            values = {"collection_id": collection_id, "shard": shard, "floor": floor}
            connection.execute(text(_RAISE_FLOOR), values)
            removed += connection.execute(text(_PRUNE), values).rowcount
        return removed
