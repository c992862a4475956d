"""Writing rows of the feed: the only statement that draws sequence numbers."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from pixvec.catalogue.feed import FeedBatch, FeedEntry

# The counter's row stays locked until the commit, so numbers become visible in their order and no reader skips one.
_WRITE = """
WITH counter AS (
    UPDATE shards SET head_seq = head_seq + :count, live_images = live_images + :newly_live
    WHERE collection_id = :collection_id AND shard = :shard RETURNING epoch, head_seq - :count AS prev_seq
), written AS (
    INSERT INTO feed AS f (collection_id, shard, seq, image_id, generation, deleted, record)
    SELECT :collection_id, :shard, c.prev_seq + n.place, n.image_id, n.generation, n.deleted, n.record
    FROM counter c, unnest(CAST(:image_ids AS text[]), CAST(:generations AS bigint[]), CAST(:deleted AS boolean[]),
        CAST(:records AS bytea[])) WITH ORDINALITY AS n(image_id, generation, deleted, record, place)
    ON CONFLICT (collection_id, shard, image_id) DO UPDATE SET seq = excluded.seq, generation = excluded.generation,
        deleted = excluded.deleted, record = excluded.record
)
SELECT epoch, prev_seq FROM counter
"""


class FeedWrite(NamedTuple):
    """A row to write: an image's record, or its tombstone."""

    image_id: str
    generation: int
    deleted: bool
    record: bytes


def write_feed(
    connection: Connection, collection_id: int, shard: int, writes: Sequence[FeedWrite], newly_live: int
) -> FeedBatch | None:
    """Write rows under the next sequence numbers, in the order given. Return None when the shard is gone.

    `newly_live` is by how much the number of images that can be found changes. Little may follow this in the
    transaction: every other writer of the shard waits.
    """
    values = {
        "collection_id": collection_id,
        "shard": shard,
        "count": len(writes),
        "newly_live": newly_live,
        "image_ids": [write.image_id for write in writes],
        "generations": [write.generation for write in writes],
        "deleted": [write.deleted for write in writes],
        "records": [write.record for write in writes],
    }
    counter = connection.execute(text(_WRITE), values).one_or_none()
    if counter is None:
        return None
    entries = (
        FeedEntry(counter.prev_seq + place, write.image_id, write.deleted, write.record)
        for place, write in enumerate(writes, start=1)
    )
    return FeedBatch(collection_id, shard, str(counter.epoch), counter.prev_seq, tuple(entries))
