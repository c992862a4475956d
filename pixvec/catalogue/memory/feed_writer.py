"""The one way in which images become searchable, or cease to be."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from pixvec.catalogue.interfaces import (
    DeletedImages,
    EmbeddedItem,
    FailedItem,
    FeedBatch,
    FeedEntry,
    LeasedChunk,
)
from pixvec.catalogue.memory.ending import fail_item, finish_chunk, index_item
from pixvec.catalogue.memory.state import FeedRow, Holding, Item, Store, StoredJob, locked
from pixvec.catalogue.sharding import shard_of
from pixvec.domain import SeqToken, ShardPosition


class _Write(NamedTuple):
    image_id: str
    deleted: bool
    record: bytes


class MemoryFeedWriter(Store):
    """FeedWriter in memory."""

    @locked
    def commit(
        self, chunk: LeasedChunk, embedded: Sequence[EmbeddedItem], failed: Sequence[FailedItem]
    ) -> list[FeedBatch]:
        """Make images searchable and end their items. Running it twice changes nothing."""
        job = self._state.jobs.get(chunk.ref.job_id)
        holding = self._state.holdings[chunk.collection.collection_id]
        if job is None or holding.deleted:
            return []
        for gone in failed:
            item = _open_item(job, gone.item.ordinal)
            if item is not None:
                fail_item(self._state, holding, item, gone.error)
        batches = self._index(job, holding, embedded)
        finish_chunk(self._state, job, chunk.ref.chunk)
        return batches

    @locked
    def delete(self, collection_id: int, image_ids: Sequence[str]) -> DeletedImages:
        """Delete images, leaving tombstones. An embed still under way for one of them will not bring it back. The token
        covers the delete of those that were gone already."""
        holding = self._state.holding(collection_id)
        wanted = set(image_ids)
        found = {image_id: holding.images.pop(image_id) for image_id in sorted(wanted) if image_id in holding.images}
        tombstones: dict[int, list[_Write]] = defaultdict(list)
        for image_id, image in found.items():
            if image.live_generation is not None:
                tombstones[shard_of(image_id, len(holding.shards))].append(_Write(image_id, True, b""))
        batches = tuple(_write(holding, shard, tombstones[shard]) for shard in sorted(tombstones))
        absent = {shard_of(image_id, len(holding.shards)) for image_id in wanted - found.keys()}
        heads = ((number, holding.shards[number]) for number in sorted(absent | tombstones.keys()))
        positions = (ShardPosition(number, shard.epoch, shard.head_seq) for number, shard in heads if shard.head_seq)
        return DeletedImages(len(found), len(wanted) - len(found), SeqToken(tuple(positions)), batches)

    def _index(self, job: StoredJob, holding: Holding, embedded: Sequence[EmbeddedItem]) -> list[FeedBatch]:
        writes: dict[int, list[_Write]] = defaultdict(list)
        current: dict[str, Item] = {}
        for each in embedded:
            item = _open_item(job, each.item.ordinal)
            if item is None:
                continue
            if self._make_live(holding, item, each):
                current[item.image_id] = item
                writes[shard_of(item.image_id, len(holding.shards))].append(_Write(item.image_id, False, each.record))
            else:
                index_item(item, None)
        batches = [_write(holding, shard, writes[shard]) for shard in sorted(writes)]
        for batch in batches:
            for entry in batch.entries:
                index_item(current[entry.image_id], ShardPosition(batch.shard, batch.epoch, entry.seq))
        return batches

    def _make_live(self, holding: Holding, item: Item, embedded: EmbeddedItem) -> bool:
        """Return False when a delete or a newer version that lives has overtaken the item."""
        image = holding.images.get(item.image_id)
        if image is None or item.generation not in image.pending:
            return False
        image.pending = image.pending[image.pending.index(item.generation) + 1 :]
        image.live_generation, image.error, image.updated_at = item.generation, None, self._state.now()
        image.content_hash, image.size_bytes = embedded.content_hash, embedded.size_bytes
        image.format, image.width, image.height = embedded.format, embedded.width, embedded.height
        image.attributes = item.attributes
        image.regions = embedded.regions
        return True


def _open_item(job: StoredJob, ordinal: int) -> Item | None:
    item = job.items.get(ordinal)
    return item if item is not None and item.open else None


def _write(holding: Holding, shard: int, writes: Sequence[_Write]) -> FeedBatch:
    stored = holding.shards[shard]
    prev_seq = stored.head_seq
    entries = []
    for write in writes:
        stored.head_seq += 1
        stored.feed[write.image_id] = FeedRow(stored.head_seq, *write)
        entries.append(FeedEntry(stored.head_seq, *write))
    return FeedBatch(holding.collection.collection_id, shard, stored.epoch, prev_seq, tuple(entries))
