"""The one way in which images become searchable, or cease to be."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple

from pixvec.catalogue.duplicates import Looks, duplicate_error, pair
from pixvec.catalogue.feed import FeedBatch, FeedEntry
from pixvec.catalogue.interfaces import Committed, DeletedImages, EmbeddedItem, FailedItem, LeasedChunk
from pixvec.catalogue.memory.duplicates import find_originals, succeed
from pixvec.catalogue.memory.ending import fail_item, finish_chunk, index_item
from pixvec.catalogue.memory.state import FeedRow, Holding, Item, Store, StoredJob, locked
from pixvec.catalogue.sharding import shard_of
from pixvec.domain import OnDuplicate, SeqToken, ShardPosition


class _Write(NamedTuple):
    image_id: str
    deleted: bool
    record: bytes


class MemoryFeedWriter(Store):
    """FeedWriter in memory."""

    @locked
    def commit(self, chunk: LeasedChunk, embedded: Sequence[EmbeddedItem], failed: Sequence[FailedItem]) -> Committed:
        """Make images searchable and end their items. Running it twice changes nothing."""
        job = self._state.jobs.get(chunk.ref.job_id)
        collection_id = chunk.collection.collection_id
        holding = self._state.holdings[collection_id]
        if job is None or holding.deleted:
            return Committed()
        items = [*(each.item for each in embedded), *(each.item for each in failed)]
        ending = {item.image_id for item in items if _open_item(job, item.ordinal) is not None}
        for gone in failed:
            item = _open_item(job, gone.item.ordinal)
            if item is not None:
                fail_item(self._state, holding, item, gone.error)
        batches = self._index(job, holding, embedded)
        chunks = succeed(self._state, collection_id, ending)
        finish_chunk(self._state, job, chunk.ref.chunk)
        return Committed(tuple(batches), tuple(chunks))

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
        chunks = succeed(self._state, collection_id, found.keys())
        return DeletedImages(len(found), len(wanted) - len(found), SeqToken(tuple(positions)), batches, tuple(chunks))

    def _index(self, job: StoredJob, holding: Holding, embedded: Sequence[EmbeddedItem]) -> list[FeedBatch]:
        works: dict[int, list[EmbeddedItem]] = defaultdict(list)
        for each in embedded:
            works[shard_of(each.item.image_id, len(holding.shards))].append(each)
        coming = {each.item.generation for each in embedded}
        batches = [self._index_shard(job, holding, shard, works[shard], coming) for shard in sorted(works)]
        return [batch for batch in batches if batch is not None]

    def _index_shard(
        self, job: StoredJob, holding: Holding, shard: int, embedded: Sequence[EmbeddedItem], coming: Collection[int]
    ) -> FeedBatch | None:
        writes: list[_Write] = []
        current: dict[str, Item] = {}
        opened = [(each, item) for each in embedded if (item := _open_item(job, each.item.ordinal)) is not None]
        duplicates = _duplicates(holding, job.on_duplicate, opened, coming)
        for each, item in opened:
            original = duplicates.get(item.image_id, "")
            if not _is_current(holding, item):
                index_item(item, None)
            elif original and job.on_duplicate is OnDuplicate.REJECT:
                fail_item(self._state, holding, item, duplicate_error(item.image_id, original))
            elif original:
                if self._link(holding, item, each, original):
                    writes.append(_Write(item.image_id, True, b""))
                index_item(item, None, original)
                current[item.image_id] = item
            else:
                self._make_live(holding, item, each)
                current[item.image_id] = item
                writes.append(_Write(item.image_id, False, each.record))
        batch = _write(holding, shard, writes) if writes else None
        for entry in batch.entries if batch is not None else ():
            item, place = current[entry.image_id], ShardPosition(shard, holding.shards[shard].epoch, entry.seq)
            index_item(item, place, item.duplicate_of)
        return batch

    def _link(self, holding: Holding, item: Item, embedded: EmbeddedItem, original: str) -> bool:
        """Let the image refer to another. Return whether a version of it could be found until now."""
        image = holding.images[item.image_id]
        was_live = image.live_generation is not None
        self._make_live(holding, item, embedded)
        image.live_generation, image.duplicate_of, image.regions = None, original, ()
        return was_live

    def _make_live(self, holding: Holding, item: Item, embedded: EmbeddedItem) -> None:
        image = holding.images[item.image_id]
        image.pending = image.pending[image.pending.index(item.generation) + 1 :]
        image.live_generation, image.error, image.updated_at = item.generation, None, self._state.now()
        image.perceptual_hash, image.duplicate_of = embedded.perceptual_hash, ""
        image.content_hash, image.size_bytes = embedded.content_hash, embedded.size_bytes
        image.format, image.width, image.height = embedded.format, embedded.width, embedded.height
        image.attributes = item.attributes
        image.regions = embedded.regions


def _is_current(holding: Holding, item: Item) -> bool:
    """Return False when a delete or a newer version that lives has overtaken the item."""
    image = holding.images.get(item.image_id)
    return image is not None and item.generation in image.pending


def _duplicates(
    holding: Holding,
    on_duplicate: OnDuplicate,
    opened: Sequence[tuple[EmbeddedItem, Item]],
    coming: Collection[int],
) -> dict[str, str]:
    """Return the duplicates among pictures that are about to live, each with its original: none that the commit is to
    replace, in another shard neither."""
    if on_duplicate is OnDuplicate.KEEP:
        return {}
    arriving = [
        Looks(item.image_id, each.content_hash, each.perceptual_hash)
        for each, item in opened
        if _is_current(holding, item)
    ]
    return pair(arriving, find_originals(holding, arriving, coming))


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
