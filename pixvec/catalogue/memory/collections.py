"""Collections with their spaces and shards."""

from collections.abc import Callable, Sequence

from pixvec.catalogue.memory.state import Holding, PlacedShard, Shard, Store, locked
from pixvec.catalogue.placement import holders_of
from pixvec.catalogue.spaces import with_index
from pixvec.domain import Collection, IndexSettings, ItemError, Space
from pixvec.errors import CollectionExists, CollectionNotFound


class MemoryCollectionStore(Store):
    """CollectionStore in memory."""

    @locked
    def create(self, name: str, spaces: Sequence[Space], shard_count: int, replicas: int = 1) -> Collection:
        """Create a collection with its shards' counters, placed on live searchers. Raises CollectionExists."""
        if any(each.collection.name == name for each in self._visible()):
            raise CollectionExists(f"collection {name!r} exists: use it, or choose another name", field="collection")
        state = self._state
        collection = Collection(len(state.holdings) + 1, name, tuple(spaces), shard_count, state.now())
        state.holdings[collection.collection_id] = Holding(collection, [Shard() for _ in range(shard_count)])
        for shard in range(shard_count):
            for searcher_id in holders_of(collection.collection_id, shard, state.live_searchers(), replicas):
                state.placements[collection.collection_id, shard, searcher_id] = PlacedShard()
        state.routing_version += 1
        return collection

    @locked
    def get(self, name: str) -> Collection:
        """Raises CollectionNotFound."""
        return self._find(name).collection

    @locked
    def get_by_id(self, collection_id: int) -> Collection:
        """Raises CollectionNotFound."""
        return self._state.holding(collection_id).collection

    @locked
    def page(self, after_name: str, limit: int) -> list[Collection]:
        """Return up to `limit` collections with names above `after_name`, by name."""
        after = [each.collection for each in self._visible() if each.collection.name > after_name]
        return sorted(after, key=lambda collection: collection.name)[:limit]

    @locked
    def change_index(self, name: str, space: str, change: Callable[[IndexSettings], IndexSettings]) -> Collection:
        """Give a space other index settings, or every space. Raises CollectionNotFound, SpaceNotFound."""
        holding = self._find(name)
        holding.collection = with_index(holding.collection, space, change)
        return holding.collection

    @locked
    def count_images(self, collection_id: int) -> int:
        """Return the number of images that can be found."""
        found = self._state.holdings.get(collection_id)
        if found is None or found.deleted:
            return 0
        return sum(image.live_generation is not None for image in found.images.values())

    @locked
    def delete(self, name: str) -> None:
        """Take the collection out of sight at once and fail its open jobs. Raises CollectionNotFound."""
        state, holding = self._state, self._find(name)
        holding.deleted = True
        deleted = CollectionNotFound(f"collection {name!r} was deleted")
        for job in state.jobs.values():
            unfinished = job.closed_at is None or any(chunk.open_items for chunk in job.chunks)
            if job.collection_id == holding.collection.collection_id and unfinished:
                job.error = ItemError(deleted.reason, deleted.message)
                job.closed_at = job.closed_at or state.now()
                for chunk in job.chunks:
                    if chunk.open_items:
                        chunk.ended_at, chunk.owner = state.now(), None
                        for item in chunk.open_items:
                            item.error = job.error
        gone = [key for key in state.placements if key[0] == holding.collection.collection_id]
        for key in gone:
            del state.placements[key]
        state.routing_version += 1

    @locked
    def purge(self, limit: int) -> int:
        """Remove up to `limit` rows of deleted collections. Return how many were removed; 0 means nothing is left."""
        removed = 0
        for holding in (each for each in self._state.holdings.values() if each.deleted):
            for image_id in list(holding.images)[: limit - removed]:
                del holding.images[image_id]
                removed += 1
            for shard in holding.shards:
                for image_id in list(shard.feed)[: limit - removed]:
                    del shard.feed[image_id]
                    removed += 1
            gone = (job.job_id for job in self._state.jobs.values() if self._is_of(job.collection_id, holding))
            for job_id in list(gone)[: limit - removed]:
                del self._state.jobs[job_id]
                removed += 1
        return removed

    def _is_of(self, collection_id: int, holding: Holding) -> bool:
        return collection_id == holding.collection.collection_id

    def _visible(self) -> list[Holding]:
        return [each for each in self._state.holdings.values() if not each.deleted]

    def _find(self, name: str) -> Holding:
        for each in self._visible():
            if each.collection.name == name:
                return each
        raise CollectionNotFound(f"no collection {name!r}: create it first, or see the list", field="collection")
