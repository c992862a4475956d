"""The one way in which images become searchable, or cease to be."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, text

from pixvec.catalogue.duplicates import Looks, duplicate_error, pair
from pixvec.catalogue.feed import FeedBatch, FeedEntry
from pixvec.catalogue.interfaces import (
    ChunkRef,
    Committed,
    DeletedImages,
    EmbeddedItem,
    FailedItem,
    LeasedChunk,
    LeasedItem,
)
from pixvec.catalogue.postgres.database import Store, transaction
from pixvec.catalogue.postgres.duplicates import find_originals, one_at_a_time, to_signed
from pixvec.catalogue.postgres.ending import Ending, end_items, lock_images, mark_images_failed
from pixvec.catalogue.postgres.feed_rows import FeedWrite, write_feed
from pixvec.catalogue.postgres.jobs.lifecycle import settle
from pixvec.catalogue.postgres.region_rows import delete_regions, write_regions
from pixvec.catalogue.postgres.rows import to_json
from pixvec.catalogue.postgres.succession import succeed
from pixvec.catalogue.sharding import shard_of
from pixvec.domain import OnDuplicate, SeqToken, ShardPosition
from pixvec.errors import CollectionNotFound

_LOCK_CHUNK = """
SELECT open_items FROM job_chunks WHERE job_id = :job_id AND chunk = :chunk AND open_items > 0 FOR NO KEY UPDATE
"""
_STILL_OPEN = """
SELECT ordinal FROM job_items
WHERE job_id = :job_id AND ordinal = ANY(CAST(:ordinals AS bigint[])) AND state = 'open'
"""
# Older versions on their way have been overtaken now; newer ones may still come to live.
_MAKE_LIVE = """
UPDATE images m SET updated_at = now(), content_hash = n.content_hash, perceptual_hash = n.perceptual_hash,
    live_generation = CASE WHEN n.duplicate_of IS NULL THEN n.generation END, duplicate_of = n.duplicate_of,
    pending = m.pending[array_position(m.pending, n.generation) + 1 :],
    size_bytes = n.size_bytes, format = n.format, width = n.width, height = n.height,
    attributes = CAST(n.attributes AS json), reason = NULL, message = NULL, retryable = FALSE
FROM unnest(CAST(:image_ids AS text[]), CAST(:generations AS bigint[]), CAST(:hashes AS text[]),
    CAST(:sizes AS bigint[]), CAST(:formats AS text[]), CAST(:widths AS integer[]), CAST(:heights AS integer[]),
    CAST(:attributes AS text[]), CAST(:looks AS bigint[]), CAST(:originals AS text[])) AS n(image_id, generation,
    content_hash, size_bytes, format, width, height, attributes, perceptual_hash, duplicate_of)
WHERE m.collection_id = :collection_id AND m.image_id = n.image_id
"""
_SHARD_COUNT = "SELECT shard_count FROM collections WHERE collection_id = :collection_id AND deleted_at IS NULL"
_DELETE_IMAGES = "DELETE FROM images WHERE collection_id = :collection_id AND image_id = ANY(:image_ids)"

_HEADS = """
SELECT shard, epoch, head_seq FROM shards
WHERE collection_id = :collection_id AND shard = ANY(:shards) AND head_seq > 0
"""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one shard's transaction did: the rows it wrote, the work it made, and how many items of the chunk are still
    open, None where it was not ours."""

    batch: FeedBatch | None = None
    chunks: Sequence[ChunkRef] = ()
    left: int | None = None


@dataclass(slots=True)
class _ShardWork:
    """What a commit brings for one shard."""

    embedded: list[EmbeddedItem] = field(default_factory=list)
    failed: list[FailedItem] = field(default_factory=list)

    @property
    def items(self) -> list[LeasedItem]:
        return [*(each.item for each in self.embedded), *(each.item for each in self.failed)]


class PostgresFeedWriter(Store):
    """FeedWriter in Postgres."""

    def commit(self, chunk: LeasedChunk, embedded: Sequence[EmbeddedItem], failed: Sequence[FailedItem]) -> Committed:
        """Write one transaction a shard. Running it twice changes nothing."""
        works: dict[int, _ShardWork] = defaultdict(_ShardWork)
        for each in embedded:
            works[shard_of(each.item.image_id, chunk.collection.shard_count)].embedded.append(each)
        for gone in failed:
            works[shard_of(gone.item.image_id, chunk.collection.shard_count)].failed.append(gone)
        coming = [each.item.generation for each in embedded]
        outcomes = [self._commit_shard(chunk, shard, works[shard], coming) for shard in sorted(works)]
        if any(outcome.left == 0 for outcome in outcomes):
            settle(self._database, uuid.UUID(chunk.ref.job_id))
        batches = tuple(outcome.batch for outcome in outcomes if outcome.batch is not None)
        return Committed(batches, tuple(ref for outcome in outcomes for ref in outcome.chunks))

    @transaction
    def delete(self, connection: Connection, collection_id: int, image_ids: Sequence[str]) -> DeletedImages:
        """Delete images, leaving tombstones. An embed still under way for one of them will not bring it back. The token
        covers the delete of those that were gone already: they may be gone by this call's first attempt."""
        wanted = set(image_ids)
        of_collection = {"collection_id": collection_id}
        shard_count = connection.execute(text(_SHARD_COUNT), of_collection).scalar()
        if shard_count is None:
            raise CollectionNotFound(f"collection {collection_id} has been deleted", field="collection")
        found = lock_images(connection, collection_id, list(wanted))
        connection.execute(text(_DELETE_IMAGES), of_collection | {"image_ids": list(found)})
        delete_regions(connection, collection_id, found)
        chunks = tuple(succeed(connection, collection_id, found))
        batches = _bury(connection, collection_id, shard_count, found.values())
        written = {batch.shard: ShardPosition(batch.shard, batch.epoch, batch.entries[-1].seq) for batch in batches}
        passed = {shard_of(image_id, shard_count) for image_id in wanted - found.keys()} - written.keys()
        positions = [*written.values(), *_heads(connection, collection_id, passed)]
        token = SeqToken(tuple(sorted(positions, key=lambda position: position.shard)))
        return DeletedImages(len(found), len(wanted) - len(found), token, tuple(batches), chunks)

    @transaction
    def _commit_shard(
        self, connection: Connection, chunk: LeasedChunk, shard: int, work: _ShardWork, coming: Sequence[int]
    ) -> _Outcome:
        collection_id = chunk.collection.collection_id
        open_ordinals = _lock_open_items(connection, chunk, work.items)
        if not open_ordinals:
            return _Outcome()
        if chunk.on_duplicate is not OnDuplicate.KEEP:
            one_at_a_time(connection, collection_id)
        images = lock_images(connection, collection_id, [item.image_id for item in work.items])
        failed = [
            Ending(each.item.ordinal, each.item.image_id, each.item.generation, each.error)
            for each in work.failed
            if each.item.ordinal in open_ordinals
        ]
        embedded = [each for each in work.embedded if each.item.ordinal in open_ordinals]
        current = [each for each in embedded if _is_current(each.item, images)]
        originals = _duplicates(connection, chunk, current, coming)
        if chunk.on_duplicate is OnDuplicate.REJECT:
            failed += [_rejected(each.item, originals[each.item.image_id]) for each in current if _of(each, originals)]
            embedded = [each for each in embedded if not _of(each, originals)]
            current, originals = [each for each in current if not _of(each, originals)], {}
        _make_live(connection, collection_id, current, originals)
        mark_images_failed(connection, collection_id, failed)
        live = {each.item.image_id for each in current if images[each.item.image_id].live_generation is not None}
        if chunk.collection.region_space is not None:
            delete_regions(connection, collection_id, live)
            write_regions(connection, collection_id, [each for each in current if not _of(each, originals)])
        changed = [*(ending.image_id for ending in failed), *(each.item.image_id for each in current)]
        chunks = succeed(connection, collection_id, changed)
        batch = _write_embedded(connection, collection_id, shard, current, live, originals)
        left = end_items(connection, chunk.ref, [*failed, *_endings(embedded, batch, originals)])
        return _Outcome(batch, chunks, left)


def _lock_open_items(connection: Connection, chunk: LeasedChunk, items: Sequence[LeasedItem]) -> set[int]:
    values = {
        "job_id": uuid.UUID(chunk.ref.job_id),
        "chunk": chunk.ref.chunk,
        "ordinals": [item.ordinal for item in items],
    }
    if connection.execute(text(_LOCK_CHUNK), values).scalar() is None:
        return set()
    return set(connection.execute(text(_STILL_OPEN), values).scalars())


def _is_current(item: LeasedItem, images: dict[str, Row[Any]]) -> bool:
    image = images.get(item.image_id)
    return image is not None and item.generation in image.pending


def _duplicates(
    connection: Connection, chunk: LeasedChunk, current: Sequence[EmbeddedItem], coming: Sequence[int]
) -> dict[str, str]:
    """Return the duplicates among pictures that are about to live, each with its original: none that the commit is to
    replace, in another shard neither."""
    if chunk.on_duplicate is OnDuplicate.KEEP or not current:
        return {}
    arriving = [Looks(each.item.image_id, each.content_hash, each.perceptual_hash) for each in current]
    return pair(arriving, find_originals(connection, chunk.collection.collection_id, arriving, coming))


def _of(each: EmbeddedItem, originals: Mapping[str, str]) -> bool:
    return each.item.image_id in originals


def _rejected(item: LeasedItem, original: str) -> Ending:
    return Ending(item.ordinal, item.image_id, item.generation, duplicate_error(item.image_id, original))


def _make_live(
    connection: Connection, collection_id: int, embedded: Sequence[EmbeddedItem], originals: Mapping[str, str]
) -> None:
    """Let images be what they show now, and those that are duplicates refer to their originals."""
    if embedded:
        values = {
            "collection_id": collection_id,
            "image_ids": [each.item.image_id for each in embedded],
            "generations": [each.item.generation for each in embedded],
            "hashes": [each.content_hash for each in embedded],
            "sizes": [each.size_bytes for each in embedded],
            "formats": [each.format for each in embedded],
            "widths": [each.width for each in embedded],
            "heights": [each.height for each in embedded],
            "attributes": [to_json(each.item.attributes) for each in embedded],
            "looks": [to_signed(each.perceptual_hash) for each in embedded],
            "originals": [originals.get(each.item.image_id) for each in embedded],
        }
        connection.execute(text(_MAKE_LIVE), values)


def _write_embedded(
    connection: Connection,
    collection_id: int,
    shard: int,
    embedded: Sequence[EmbeddedItem],
    live: Collection[str],
    originals: Mapping[str, str],
) -> FeedBatch | None:
    """Write records, and tombstones of what was `live` and is a duplicate now."""
    searched = [each for each in embedded if not _of(each, originals)]
    writes = [FeedWrite(each.item.image_id, each.item.generation, False, each.record) for each in searched]
    hidden = [each for each in embedded if _of(each, originals) and each.item.image_id in live]
    writes += [FeedWrite(each.item.image_id, each.item.generation, True, b"") for each in hidden]
    newly_live = sum(each.item.image_id not in live for each in searched) - len(hidden)
    return write_feed(connection, collection_id, shard, writes, newly_live) if writes else None


def _endings(embedded: Sequence[EmbeddedItem], batch: FeedBatch | None, originals: Mapping[str, str]) -> list[Ending]:
    """Return how embedded items end: found where the batch put them, linked, or overtaken."""
    written: dict[str, FeedEntry] = {} if batch is None else {entry.image_id: entry for entry in batch.entries}
    endings = []
    for each in embedded:
        entry = written.get(each.item.image_id)
        position = ShardPosition(batch.shard, batch.epoch, entry.seq) if batch and entry else None
        item, original = each.item, originals.get(each.item.image_id)
        endings.append(Ending(item.ordinal, item.image_id, item.generation, None, position, original))
    return endings


def _heads(connection: Connection, collection_id: int, shards: Collection[int]) -> list[ShardPosition]:
    if not shards:
        return []
    rows = connection.execute(text(_HEADS), {"collection_id": collection_id, "shards": list(shards)})
    return [ShardPosition(row.shard, str(row.epoch), row.head_seq) for row in rows]


def _bury(connection: Connection, collection_id: int, shard_count: int, images: Iterable[Row[Any]]) -> list[FeedBatch]:
    """Leave tombstones of those images that could be found."""
    tombstones: dict[int, list[FeedWrite]] = defaultdict(list)
    for image in images:
        if image.live_generation is not None:
            write = FeedWrite(image.image_id, image.live_generation, True, b"")
            tombstones[shard_of(image.image_id, shard_count)].append(write)
    batches = (
        write_feed(connection, collection_id, shard, tombstones[shard], -len(tombstones[shard]))
        for shard in sorted(tombstones)
    )
    return [batch for batch in batches if batch is not None]
