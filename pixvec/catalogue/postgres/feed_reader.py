"""The change feed, as followers read it."""

from collections import defaultdict

from sqlalchemy import Connection, text

from pixvec.catalogue.bases import offered, prunable_seq
from pixvec.catalogue.feed import FeedEntry, FeedPage
from pixvec.catalogue.postgres.base_rows import GONE, lock_bases, read_bases, read_feeds
from pixvec.catalogue.postgres.database import Store, driver_errors, reading, transaction
from pixvec.domain import BaseSnapshot, ShardKey
from pixvec.errors import CollectionNotFound

# One statement, hence one snapshot: the head is the head as of these rows.
_READ = """
SELECT s.epoch, s.head_seq, s.tombstone_floor, s.truncated_seq, f.seq, f.image_id, f.deleted, f.record
FROM shards s JOIN collections c ON c.collection_id = s.collection_id AND c.deleted_at IS NULL
LEFT JOIN LATERAL (
    SELECT seq, image_id, deleted, record FROM feed
    WHERE collection_id = s.collection_id AND shard = s.shard AND seq > %(after_seq)s
        AND (NOT deleted OR %(after_seq)s > 0) AND %(after_seq)s >= s.truncated_seq
    ORDER BY seq LIMIT %(limit)s
) f ON TRUE
WHERE s.collection_id = %(collection_id)s AND s.shard = %(shard)s
ORDER BY f.seq
"""
_WITH_TOMBSTONES = "SELECT DISTINCT collection_id, shard FROM placements"
_PRUNABLE = """
SELECT f.collection_id, f.shard, f.seq
FROM unnest(CAST(:collections AS bigint[]), CAST(:shards AS integer[]), CAST(:passed AS bigint[]))
    AS p(collection_id, shard, passed)
JOIN feed f ON f.collection_id = p.collection_id AND f.shard = p.shard AND f.deleted AND f.seq <= p.passed
ORDER BY f.collection_id, f.shard, f.seq LIMIT :limit
"""
_RAISE_FLOOR = """
UPDATE shards SET tombstone_floor = greatest(tombstone_floor, :floor)
WHERE collection_id = :collection_id AND shard = :shard
"""
_PRUNE = "DELETE FROM feed WHERE collection_id = :collection_id AND shard = :shard AND deleted AND seq <= :floor"
# By the index whatever the planner thinks: mostly there is nothing below. A row that is written anew in between has a
# higher seq by then, and is passed over.
_PRUNE_TRUNCATED = """
DELETE FROM feed WHERE ctid = ANY(ARRAY(
    SELECT f.ctid FROM shards s CROSS JOIN LATERAL (
        SELECT ctid FROM feed WHERE collection_id = s.collection_id AND shard = s.shard AND seq <= s.truncated_seq
        ORDER BY seq LIMIT :limit FOR UPDATE SKIP LOCKED
    ) f
    WHERE s.truncated_seq > 0 LIMIT :limit
))
"""


class PostgresFeedReader(Store):
    """FeedReader in Postgres."""

    @reading
    def read(self, connection: Connection, collection_id: int, shard: int, after_seq: int, limit: int) -> FeedPage:
        """Return up to `limit` rows above `after_seq`, by seq; from 0, live rows only. Below the place where the feed
        was truncated, return none, and the bases to begin with. Raises CollectionNotFound."""
        driver = connection.connection.driver_connection
        assert driver is not None
        values = {"collection_id": collection_id, "shard": shard, "after_seq": after_seq, "limit": limit}
        # A binary cursor: records come as they are instead of as hexadecimal text.
        with driver_errors(connection), driver.cursor(binary=True) as cursor:
            rows = cursor.execute(_READ, values).fetchall()
        if not rows:
            raise CollectionNotFound(f"collection {collection_id} has no shard {shard}, or was deleted")
        epoch, head_seq, tombstone_floor, truncated_seq = rows[0][:4]
        floors = (tombstone_floor, truncated_seq, _offers(connection, (collection_id, shard), after_seq, truncated_seq))
        if after_seq < truncated_seq:
            return FeedPage(str(epoch), after_seq, head_seq, (), *floors)
        entries = tuple(FeedEntry(*row[4:]) for row in rows if row[4] is not None)
        through_seq = entries[-1].seq if len(entries) == limit else head_seq
        return FeedPage(str(epoch), through_seq, head_seq, entries, *floors)

    @transaction
    def prune_tombstones(self, connection: Connection, limit: int) -> int:
        """Remove tombstones that the snapshot of every replica and every base has passed, raising the shard's floor."""
        lock_bases(connection)
        bases = read_bases(connection)
        feeds = read_feeds(connection, [(row[0], row[1]) for row in connection.execute(text(_WITH_TOMBSTONES))])
        passed = [prunable_seq(bases.get(key, []), feed) for key, feed in feeds.items()]
        shards = {"collections": [key[0] for key in feeds], "shards": [key[1] for key in feeds]}
        floors: dict[tuple[int, int], int] = defaultdict(int)
        for row in connection.execute(text(_PRUNABLE), shards | {"passed": passed, "limit": limit}):
            floors[row.collection_id, row.shard] = row.seq
        removed = 0
        for (collection_id, shard), floor in floors.items():
            values = {"collection_id": collection_id, "shard": shard, "floor": floor}
            connection.execute(text(_RAISE_FLOOR), values)
            removed += connection.execute(text(_PRUNE), values).rowcount
        return removed

    @transaction
    def prune_truncated(self, connection: Connection, limit: int) -> int:
        """Remove up to `limit` rows at or below the place where their feed was truncated. Return how many."""
        return connection.execute(text(_PRUNE_TRUNCATED), {"limit": limit}).rowcount


def _offers(connection: Connection, key: ShardKey, after_seq: int, truncated_seq: int) -> tuple[BaseSnapshot, ...]:
    """Return what a follower may begin with, if it has to, or has nothing yet."""
    if after_seq > 0 and after_seq >= truncated_seq:
        return ()
    bases = read_bases(connection, *key)[key]
    return offered(bases, read_feeds(connection, [key]).get(key, GONE)) if bases else ()
