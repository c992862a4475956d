"""Deletes images, and tells searchers at once, and workers where duplicates take the place of their original."""

from collections.abc import Sequence

from pixvec.catalogue.interfaces import DeletedImages, FeedWriter
from pixvec.errors import Overloaded
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.pusher import Pusher
from pixvec.telemetry.logging import get_logger
from services.gateway.directory import Directory
from services.gateway.publisher import ChunkPublisher

log = get_logger(__name__)


class Deletions:
    """Writes tombstones and pushes them."""

    def __init__(
        self,
        directory: Directory,
        feed: FeedWriter,
        pusher: Pusher,
        publisher: ChunkPublisher,
        sql: BlockingCalls,
        pushes: BlockingCalls,
    ) -> None:
        self._directory = directory
        self._feed = feed
        self._pusher = pusher
        self._publisher = publisher
        self._sql = sql
        self._pushes = pushes

    async def delete(self, collection: str, image_ids: Sequence[str]) -> DeletedImages:
        """Delete images by id. Raises CollectionNotFound."""
        found = await self._directory.collection(collection)
        deleted = await self._sql.run(self._feed.delete, found.collection_id, list(dict.fromkeys(image_ids)))
        for chunk in deleted.chunks:
            self._publisher.publish(chunk)
        try:
            await self._pushes.run(self._pusher.push, deleted.batches)
        except Overloaded as error:
            # The delete is committed: searchers find it in the feed, and the caller has its token to wait by.
            log.info("push_left_to_feed", collection=collection, error=error.message)
        return deleted
