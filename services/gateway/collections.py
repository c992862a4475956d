"""Makes collections ready to be used, and takes them away."""

import asyncio
import time
from collections.abc import Callable

from pixvec.catalogue.interfaces import Catalogue
from pixvec.domain import Collection, IndexSettings
from pixvec.errors import CollectionExists, CollectionNotFound, PixvecError
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.embedder_client import EmbedderClient
from pixvec.telemetry.logging import get_logger
from services.gateway.directory import Directory
from services.gateway.new_spaces import NewSpaces, check_spaces, resolve_spaces

log = get_logger(__name__)

_PLACED_WITHIN_S = 5.0
_POLL_S = 0.05


class Collections:
    """Collections as the gateway's callers know them."""

    def __init__(
        self,
        catalogue: Catalogue,
        directory: Directory,
        embedder: EmbedderClient,
        sql: BlockingCalls,
        *,
        default_shard_count: int,
        replicas: int,
    ) -> None:
        self._catalogue = catalogue
        self._directory = directory
        self._embedder = embedder
        self._sql = sql
        self._default_shard_count = default_shard_count
        self._replicas = replicas

    async def create(
        self,
        name: str,
        wanted: NewSpaces,
        shard_count: int | None,
        deadline_s: float,
    ) -> tuple[Collection, str]:
        """Create a collection, and wait a while until searchers hold it. Return it with the reason for its model.

        Raises CollectionExists, ModelNotFound, WeightsUnavailable, EmbedderUnavailable, and InvalidRequest for spaces
        that cannot be told apart or made.
        """
        check_spaces(wanted)
        await self._refuse_taken(name)
        resolved = await resolve_spaces(self._embedder, wanted, deadline_s)
        shards = shard_count or self._default_shard_count
        collection = await self._sql.run(
            self._catalogue.collections.create, name, resolved.spaces, shards, self._replicas
        )
        self._directory.learn(collection)
        await self._wait_until_placed(collection)
        return collection, resolved.reason

    async def get(self, name: str) -> tuple[Collection, int]:
        """Return a collection and the number of images that can be found. Raises CollectionNotFound."""
        collection = await self._sql.read(self._catalogue.collections.get, name)
        return collection, await self._sql.run(self._catalogue.collections.count_images, collection.collection_id)

    async def page(self, after_name: str, limit: int) -> list[tuple[Collection, int]]:
        """Return up to `limit` collections with names above `after_name`, each with its number of images."""
        collections = await self._sql.run(self._catalogue.collections.page, after_name, limit)
        counts = await self._sql.run(self._count_all, collections)
        return list(zip(collections, counts, strict=True))

    async def change_index(
        self, name: str, space: str, change: Callable[[IndexSettings], IndexSettings]
    ) -> tuple[Collection, int]:
        """Index a space otherwise, or every space where `space` is empty. Return the collection as `get` does. Raises
        CollectionNotFound, SpaceNotFound."""
        collection = await self._sql.run(self._catalogue.collections.change_index, name, space, change)
        self._directory.learn(collection)
        return collection, await self._sql.run(self._catalogue.collections.count_images, collection.collection_id)

    async def delete(self, name: str) -> None:
        """Take a collection out of sight. Raises CollectionNotFound."""
        try:
            await self._sql.run(self._catalogue.collections.delete, name)
        finally:
            self._directory.forget(name)

    def _count_all(self, collections: list[Collection]) -> list[int]:
        return [self._catalogue.collections.count_images(each.collection_id) for each in collections]

    async def _refuse_taken(self, name: str) -> None:
        # Before the model is resolved: that may take minutes.
        try:
            await self._sql.read(self._catalogue.collections.get, name)
        except CollectionNotFound:
            return
        raise CollectionExists(
            f"there is a collection {name!r} already; take another name, or delete that one first", field="collection"
        )

    async def _wait_until_placed(self, collection: Collection) -> None:
        give_up_at = time.monotonic() + _PLACED_WITHIN_S
        try:
            while not await self._is_placed(collection):
                if time.monotonic() > give_up_at:
                    log.warning("collection_not_placed", collection=collection.name, waited_s=_PLACED_WITHIN_S)
                    return
                await asyncio.sleep(_POLL_S)
        except PixvecError as error:
            log.warning("collection_not_placed", collection=collection.name, error=error.message)

    async def _is_placed(self, collection: Collection) -> bool:
        routing = await self._directory.fresh_routing()
        shards = range(collection.shard_count)
        held = (routing.replicas.get((collection.collection_id, shard), ()) for shard in shards)
        return all(any(replica.ready for replica in replicas) for replicas in held)
