"""The change feed, as followers read it."""

from pixvec.catalogue.bases import offered, prunable_seq
from pixvec.catalogue.feed import FeedEntry, FeedPage
from pixvec.catalogue.memory.state import Store, locked
from pixvec.errors import CollectionNotFound


class MemoryFeedReader(Store):
    """FeedReader in memory."""

    @locked
    def read(self, collection_id: int, shard: int, after_seq: int, limit: int) -> FeedPage:
        """Return up to `limit` rows above `after_seq`, by seq; from 0, live rows only. Below the place where the feed
        was truncated, return none, and the bases to begin with. Raises CollectionNotFound."""
        shards = self._state.holding(collection_id).shards
        if not 0 <= shard < len(shards):
            raise CollectionNotFound(f"collection {collection_id} has no shard {shard}, or was deleted")
        stored = shards[shard]
        feed = self._state.feed_standing(collection_id, shard)
        begins = after_seq == 0 or after_seq < stored.truncated_seq
        bases = offered(self._state.bases_of(collection_id, shard), feed) if begins else ()
        floors = (stored.tombstone_floor, stored.truncated_seq, bases)
        if after_seq < stored.truncated_seq:
            return FeedPage(stored.epoch, after_seq, stored.head_seq, (), *floors)
        rows = [row for row in stored.feed.values() if row.seq > after_seq and (after_seq > 0 or not row.deleted)]
        page = sorted(rows, key=lambda row: row.seq)[:limit]
        entries = tuple(FeedEntry(row.seq, row.image_id, row.deleted, row.record) for row in page)
        through_seq = entries[-1].seq if len(entries) == limit else stored.head_seq
        return FeedPage(stored.epoch, through_seq, stored.head_seq, entries, *floors)

    @locked
    def prune_tombstones(self, limit: int) -> int:
        """Remove tombstones that the snapshot of every replica and every base has passed, raising the shard's floor."""
        removed = 0
        for collection_id, number in sorted({key[:2] for key in self._state.placements}):
            feed = self._state.feed_standing(collection_id, number)
            seq = prunable_seq(self._state.bases_of(collection_id, number), feed)
            shard = self._state.holding(collection_id).shards[number]
            dead = sorted((row.seq, image_id) for image_id, row in shard.feed.items() if row.deleted and row.seq <= seq)
            for dead_seq, image_id in dead[: limit - removed]:
                shard.tombstone_floor = max(shard.tombstone_floor, dead_seq)
                del shard.feed[image_id]
                removed += 1
        return removed

    @locked
    def prune_truncated(self, limit: int) -> int:
        """Remove up to `limit` rows at or below the place where their feed was truncated. Return how many."""
        removed = 0
        for shard in (shard for holding in self._state.holdings.values() for shard in holding.shards):
            past = [image_id for image_id, row in shard.feed.items() if row.seq <= shard.truncated_seq]
            for image_id in past[: limit - removed]:
                del shard.feed[image_id]
                removed += 1
        return removed
