"""Searchers, and which of them holds what."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, text

from pixvec.catalogue.placement import Placed, plan_moves
from pixvec.catalogue.postgres.database import Store, reading, transaction
from pixvec.catalogue.postgres.routing import add_placements, live_searchers, missed_searchers, touch_routing
from pixvec.catalogue.postgres.rows import COLLECTION_COLUMNS, to_collection
from pixvec.catalogue.topology import (
    Assignment,
    Holder,
    KnownSearcher,
    Replica,
    Routing,
    ShardReport,
    ShardStanding,
)

_REGISTER = """
WITH known AS (SELECT address, lease_expires > now() AS live FROM searchers WHERE searcher_id = :searcher_id)
INSERT INTO searchers (searcher_id, address, lease_expires)
VALUES (:searcher_id, :address, now() + make_interval(secs => :lease_s))
ON CONFLICT (searcher_id) DO UPDATE SET address = excluded.address, lease_expires = excluded.lease_expires
RETURNING (SELECT known.address = :address AND known.live FROM known) AS unchanged
"""
_REPORT = """
WITH reported AS (
    SELECT * FROM unnest(CAST(:collections AS bigint[]), CAST(:shards AS integer[]), CAST(:ready AS boolean[]),
                         CAST(:snapshots AS bigint[])) AS r(collection_id, shard, ready, snapshot_seq)
), stands AS (
    SELECT p.collection_id, p.shard, p.ready AS was_ready, coalesce(r.ready, FALSE) AS ready,
           coalesce(r.snapshot_seq, 0) AS snapshot_seq, p.snapshot_seq AS was_snapshot_seq
    FROM placements p LEFT JOIN reported r USING (collection_id, shard) WHERE p.searcher_id = :searcher_id
)
UPDATE placements p SET ready = s.ready, snapshot_seq = s.snapshot_seq FROM stands s
WHERE p.searcher_id = :searcher_id AND p.collection_id = s.collection_id AND p.shard = s.shard
    AND (s.ready <> s.was_ready OR s.snapshot_seq <> s.was_snapshot_seq)
RETURNING s.ready <> s.was_ready AS changed
"""
_ASSIGNMENTS = f"""
SELECT {COLLECTION_COLUMNS}, s.shard, s.epoch, s.head_seq, s.tombstone_floor
FROM placements p JOIN shards s USING (collection_id, shard) JOIN collections c USING (collection_id)
WHERE p.searcher_id = :searcher_id AND c.deleted_at IS NULL ORDER BY c.collection_id, s.shard
"""
_ROUTING = """
SELECT r.version, p.collection_id, p.shard, p.searcher_id, s.address, p.ready
FROM routing r LEFT JOIN (placements p JOIN searchers s ON s.searcher_id = p.searcher_id AND s.lease_expires > now())
    ON TRUE
ORDER BY p.collection_id, p.shard, p.searcher_id
"""
_STANDINGS = """
SELECT s.collection_id, c.name AS collection, s.shard, CAST(s.epoch AS text) AS epoch, s.head_seq, s.truncated_seq,
    s.live_images AS image_count, p.searcher_id, p.ready, p.snapshot_seq
FROM shards s JOIN collections c USING (collection_id)
LEFT JOIN placements p ON p.collection_id = s.collection_id AND p.shard = s.shard
WHERE c.deleted_at IS NULL AND (CAST(:collection_id AS bigint) IS NULL OR s.collection_id = :collection_id)
ORDER BY c.name, s.shard, p.searcher_id
"""
_SEARCHERS = """
SELECT searcher_id, address, lease_expires > now() AS is_live FROM searchers
WHERE lease_expires > now() OR searcher_id IN (SELECT searcher_id FROM placements) ORDER BY searcher_id
"""
_ONE_AT_A_TIME = "SELECT pg_try_advisory_xact_lock(7461204)"
_SHARDS = """
SELECT s.collection_id, s.shard FROM shards s JOIN collections c USING (collection_id) WHERE c.deleted_at IS NULL
"""
_REMOVE = """
DELETE FROM placements p
USING unnest(CAST(:collections AS bigint[]), CAST(:shards AS integer[]), CAST(:searchers AS text[]))
    AS gone(collection_id, shard, searcher_id)
WHERE p.collection_id = gone.collection_id AND p.shard = gone.shard AND p.searcher_id = gone.searcher_id
"""


class PostgresTopologyStore(Store):
    """TopologyStore in Postgres."""

    @transaction
    def heartbeat(
        self, connection: Connection, searcher_id: str, address: str, reports: Sequence[ShardReport], *, lease_s: float
    ) -> None:
        """Register a searcher or renew its lease, and note how its shards stand."""
        searcher = {"searcher_id": searcher_id, "address": address, "lease_s": lease_s}
        unchanged = connection.execute(text(_REGISTER), searcher).scalar()
        values = {
            "searcher_id": searcher_id,
            "collections": [report.collection_id for report in reports],
            "shards": [report.shard for report in reports],
            "ready": [report.ready for report in reports],
            "snapshots": [report.snapshot_seq for report in reports],
        }
        changed = list(connection.execute(text(_REPORT), values).scalars())
        if not unchanged or any(changed):
            touch_routing(connection)

    @reading
    def assignments(self, connection: Connection, searcher_id: str) -> list[Assignment]:
        """Return the shards this searcher has to hold now, with their heads: one cheap query, polled."""
        rows = connection.execute(text(_ASSIGNMENTS), {"searcher_id": searcher_id})
        return [
            Assignment(to_collection(row), row.shard, str(row.epoch), row.head_seq, row.tombstone_floor) for row in rows
        ]

    @reading
    def routing(self, connection: Connection) -> Routing:
        """Return who holds what now, leaving out searchers past their lease."""
        version = 0
        replicas: dict[tuple[int, int], list[Replica]] = defaultdict(list)
        for row in connection.execute(text(_ROUTING)):
            version = row.version
            if row.searcher_id is not None:
                replica = Replica(row.searcher_id, row.address, row.ready)
                replicas[row.collection_id, row.shard].append(replica)
        return Routing(version, {shard: tuple(holders) for shard, holders in replicas.items()})

    @transaction
    def rebalance(self, connection: Connection, replicas: int, *, grace_s: float = 0.0) -> bool:
        """Place every shard on `replicas` live searchers; those missed for less than `grace_s` keep what they hold."""
        if not connection.execute(text(_ONE_AT_A_TIME)).scalar():
            return False
        live = live_searchers(connection)
        shards = [(row.collection_id, row.shard) for row in connection.execute(text(_SHARDS))]
        held = connection.execute(text("SELECT collection_id, shard, searcher_id, ready FROM placements"))
        placed = [Placed(*row) for row in held]
        moves = plan_moves(shards, placed, live, replicas, missed_searchers(connection, grace_s))
        if not moves.added and not moves.removed:
            return False
        if moves.added:
            add_placements(connection, moves.added)
        if moves.removed:
            _remove_placements(connection, moves.removed)
        touch_routing(connection)
        return True

    @reading
    def shards(self, connection: Connection, collection_id: int | None = None) -> list[ShardStanding]:
        """Return how the shards of one collection or of all stand, by collection name and shard."""
        found: dict[tuple[int, int], ShardStanding] = {}
        for row in connection.execute(text(_STANDINGS), {"collection_id": collection_id}):
            key = (row.collection_id, row.shard)
            standing = found.setdefault(key, _standing(row))
            if row.searcher_id is not None:
                holder = Holder(row.searcher_id, row.ready, row.snapshot_seq)
                found[key] = replace(standing, holders=(*standing.holders, holder))
        return list(found.values())

    @reading
    def searchers(self, connection: Connection) -> list[KnownSearcher]:
        """Return the searchers that live or are to hold something, by id."""
        return [KnownSearcher(*row) for row in connection.execute(text(_SEARCHERS))]


def _standing(row: Row[Any]) -> ShardStanding:
    where = (row.collection_id, row.collection, row.shard)
    return ShardStanding(*where, row.epoch, row.head_seq, row.truncated_seq, row.image_count, ())


def _remove_placements(connection: Connection, holders: Sequence[tuple[int, int, str]]) -> None:
    collections, shards, searchers = ([holder[part] for holder in holders] for part in range(3))
    connection.execute(text(_REMOVE), {"collections": collections, "shards": shards, "searchers": searchers})
