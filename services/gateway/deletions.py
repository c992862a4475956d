"""Deletes images, and tells searchers at once."""

from collections.abc import Sequence

from pixvec.catalogue.interfaces import DeletedImages, FeedWriter
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.pusher import Pusher
from services.gateway.directory import Directory


class Deletions:
    """Writes tombstones and pushes them."""

    def __init__(
        self, directory: Directory, feed: FeedWriter, pusher: Pusher, sql: BlockingCalls, pushes: BlockingCalls
    ) -> None:
        self._directory = directory
        self._feed = feed
        self._pusher = pusher
        self._sql = sql
        self._pushes = pushes

    async def delete(self, collection: str, image_ids: Sequence[str]) -> DeletedImages:
        """Delete images by id. Raises CollectionNotFound."""
        found = await self._directory.collection(collection)
        deleted = await self._sql.run(self._feed.delete, found.collection_id, list(dict.fromkeys(image_ids)))
        await self._pushes.run(self._pusher.push, deleted.batches)
        return deleted
