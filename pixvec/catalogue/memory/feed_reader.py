"""The change feed, as followers read it."""

from pixvec.catalogue.interfaces import FeedEntry, FeedPage
from pixvec.catalogue.memory.state import Store, locked
from pixvec.errors import CollectionNotFound


class MemoryFeedReader(Store):
    """FeedReader in memory."""

    @locked
    def read(self, collection_id: int, shard: int, after_seq: int, limit: int) -> FeedPage:
        """Return up to `limit` rows above `after_seq`, by seq; from 0, live rows only. Raises CollectionNotFound."""
        shards = self._state.holding(collection_id).shards
        if not 0 <= shard < len(shards):
            raise CollectionNotFound(f"collection {collection_id} has no shard {shard}, or was deleted")
        stored = shards[shard]
        rows = [row for row in stored.feed.values() if row.seq > after_seq and (after_seq > 0 or not row.deleted)]
        page = sorted(rows, key=lambda row: row.seq)[:limit]
        entries = tuple(FeedEntry(row.seq, row.image_id, row.deleted, row.record) for row in page)
        through_seq = entries[-1].seq if len(entries) == limit else stored.head_seq
        return FeedPage(stored.epoch, through_seq, stored.head_seq, entries, stored.tombstone_floor)

    @locked
    def prune_tombstones(self, limit: int) -> int:
        """Remove tombstones that the snapshot of every replica has passed, raising the shard's floor."""
        passed: dict[tuple[int, int], int] = {}
        for (collection_id, number, _), placed in self._state.placements.items():
            key = (collection_id, number)
            passed[key] = min(passed.get(key, placed.snapshot_seq), placed.snapshot_seq)
        removed = 0
        for (collection_id, number), seq in sorted(passed.items()):
            shard = self._state.holding(collection_id).shards[number]
            dead = sorted((row.seq, image_id) for image_id, row in shard.feed.items() if row.deleted and row.seq <= seq)
            for dead_seq, image_id in dead[: limit - removed]:
                shard.tombstone_floor = max(shard.tombstone_floor, dead_seq)
                del shard.feed[image_id]
                removed += 1
        return removed
