"""Rows of base snapshots to values, and the feeds they belong to: shared by the stores that decide by them."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

from pixvec.catalogue.bases import FeedStanding
from pixvec.domain import BaseSnapshot, ShardKey

BASE_COLUMNS = """b.base_id, b.collection_id, b.shard, b.epoch, b.made_in, b.seq, b.created_at, b.manifest,
    b.manifest_sha256, b.image_count, b.size_bytes, b.verified_at, b.retired_at, b.damage"""
# Whoever decides by several bases or by a base and its feed holds this to the end of a short transaction.
_LOCK = "SELECT pg_advisory_xact_lock(7461205)"
_OF_SHARDS = f"""
SELECT {BASE_COLUMNS} FROM base_snapshots b
WHERE (CAST(:collection_id AS bigint) IS NULL OR b.collection_id = :collection_id)
    AND (CAST(:shard AS integer) IS NULL OR b.shard = :shard)
"""
_FEEDS = """
SELECT s.collection_id, s.shard, s.epoch, s.head_seq, s.tombstone_floor, s.truncated_seq,
    coalesce((SELECT min(p.snapshot_seq) FROM placements p
              WHERE p.collection_id = s.collection_id AND p.shard = s.shard), 0) AS passed_seq,
    c.deleted_at IS NOT NULL AS is_gone
FROM shards s JOIN collections c USING (collection_id)
WHERE (s.collection_id, s.shard) IN (
    SELECT * FROM unnest(CAST(:collections AS bigint[]), CAST(:shards AS integer[]))
)
"""
GONE = FeedStanding("", 0, 0, 0, is_gone=True)


def lock_bases(connection: Connection) -> None:
    """Let one transaction at a time decide about bases."""
    connection.execute(text(_LOCK))


def to_base(row: Row[Any]) -> BaseSnapshot:
    """Read the columns of BASE_COLUMNS."""
    values = row._asdict()
    return BaseSnapshot(**values | {name: str(values[name]) for name in ("base_id", "epoch", "made_in")})


def read_bases(
    connection: Connection, collection_id: int | None = None, shard: int | None = None
) -> dict[ShardKey, list[BaseSnapshot]]:
    """Return bases by shard: of one shard, of one collection, or all."""
    found: dict[ShardKey, list[BaseSnapshot]] = defaultdict(list)
    for row in connection.execute(text(_OF_SHARDS), {"collection_id": collection_id, "shard": shard}):
        found[row.collection_id, row.shard].append(to_base(row))
    return found


def read_feeds(connection: Connection, keys: Sequence[ShardKey]) -> dict[ShardKey, FeedStanding]:
    """Return how feeds stand. One whose collection was purged is left out."""
    values = {"collections": [key[0] for key in keys], "shards": [key[1] for key in keys]}
    return {
        (row.collection_id, row.shard): FeedStanding(str(row.epoch), *row[3:])
        for row in connection.execute(text(_FEEDS), values)
    }
