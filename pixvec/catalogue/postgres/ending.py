"""How items end, and what that does to their images. Callers hold the chunk's row."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from pixvec.catalogue.interfaces import ChunkRef
from pixvec.domain import ItemError, ShardPosition

_LOCK_IMAGES = """
SELECT image_id, live_generation, pending FROM images
WHERE collection_id = :collection_id AND image_id = ANY(:image_ids) ORDER BY image_id FOR NO KEY UPDATE
"""
# An image has failed when no version of it can be found and no other is on its way.
_LAST = "m.live_generation IS NULL AND m.duplicate_of IS NULL AND m.pending = ARRAY[n.generation]"
_FAIL_IMAGES = f"""
UPDATE images m SET updated_at = now(), pending = array_remove(m.pending, n.generation),
    reason = CASE WHEN {_LAST} THEN n.reason END,
    message = CASE WHEN {_LAST} THEN n.message END,
    retryable = {_LAST} AND n.retryable
FROM unnest(CAST(:image_ids AS text[]), CAST(:generations AS bigint[]), CAST(:reasons AS text[]),
    CAST(:messages AS text[]), CAST(:retryables AS boolean[])) AS n(image_id, generation, reason, message, retryable)
WHERE m.collection_id = :collection_id AND m.image_id = n.image_id AND n.generation = ANY(m.pending)
"""
# What made a found image is in its own row now; what failed keeps what a retry would need.
_END = """
WITH ended AS (
    UPDATE job_items i SET state = CASE WHEN n.reason IS NULL THEN 'indexed' ELSE 'failed' END, reason = n.reason,
        message = n.message, retryable = n.retryable, shard = n.shard, epoch = n.epoch, seq = n.seq,
        duplicate_of = n.duplicate_of,
        attributes = CASE WHEN n.reason IS NULL THEN '{}' ELSE i.attributes END
    FROM unnest(CAST(:ordinals AS bigint[]), CAST(:reasons AS text[]), CAST(:messages AS text[]),
        CAST(:retryables AS boolean[]), CAST(:shards AS integer[]), CAST(:epochs AS uuid[]), CAST(:seqs AS bigint[]),
        CAST(:originals AS text[])) AS n(ordinal, reason, message, retryable, shard, epoch, seq, duplicate_of)
    WHERE i.job_id = :job_id AND i.ordinal = n.ordinal AND i.state = 'open' RETURNING i.state
), counted AS (
    SELECT count(*) AS ended, count(*) FILTER (WHERE state = 'indexed') AS indexed,
        count(*) FILTER (WHERE state = 'failed') AS failed
    FROM ended
)
UPDATE job_chunks SET open_items = open_items - n.ended, indexed = job_chunks.indexed + n.indexed,
    failed = job_chunks.failed + n.failed,
    lease_owner = CASE WHEN open_items > n.ended THEN lease_owner END,
    lease_expires = CASE WHEN open_items > n.ended THEN lease_expires END,
    ended_at = CASE WHEN open_items = n.ended THEN now() END
FROM counted n WHERE job_id = :job_id AND chunk = :chunk
RETURNING job_chunks.open_items
"""


@dataclass(frozen=True, slots=True)
class Ending:
    """How one open item ends: failed with an error, found at a position, linked to its original, or overtaken with
    none of that: by a delete or by a newer version that lives."""

    ordinal: int
    image_id: str
    generation: int
    error: ItemError | None = None
    position: ShardPosition | None = None
    duplicate_of: str | None = None


def lock_images(connection: Connection, collection_id: int, image_ids: Sequence[str]) -> dict[str, Row[Any]]:
    """Lock images in the order of their ids, so that no two transactions wait for each other. Return those there."""
    values = {"collection_id": collection_id, "image_ids": list(image_ids)}
    return {row.image_id: row for row in connection.execute(text(_LOCK_IMAGES), values)}


def mark_images_failed(connection: Connection, collection_id: int, endings: Sequence[Ending]) -> None:
    """Take failed items off their locked images; one that has no other version takes on the error."""
    failed = [ending for ending in endings if ending.error is not None]
    if failed:
        values = _errors(failed) | {
            "collection_id": collection_id,
            "image_ids": [ending.image_id for ending in failed],
            "generations": [ending.generation for ending in failed],
        }
        connection.execute(text(_FAIL_IMAGES), values)


def end_items(connection: Connection, ref: ChunkRef, endings: Sequence[Ending]) -> int:
    """End open items of a locked chunk. Return how many of its items are still open."""
    positions = [ending.position for ending in endings]
    values = _errors(endings) | {
        "job_id": uuid.UUID(ref.job_id),
        "chunk": ref.chunk,
        "ordinals": [ending.ordinal for ending in endings],
        "shards": [position and position.shard for position in positions],
        "epochs": [position and uuid.UUID(position.epoch) for position in positions],
        "seqs": [position and position.seq for position in positions],
        "originals": [ending.duplicate_of for ending in endings],
    }
    return int(connection.execute(text(_END), values).scalar_one())


def _errors(endings: Sequence[Ending]) -> dict[str, Any]:
    return {
        "reasons": [ending.error and ending.error.reason for ending in endings],
        "messages": [ending.error and ending.error.message for ending in endings],
        "retryables": [ending.error is not None and ending.error.retryable for ending in endings],
    }
