"""Which collections there are and which searchers hold them, as this gateway knows it."""

from pixvec.catalogue.interfaces import Catalogue
from pixvec.catalogue.topology import Routing
from pixvec.domain import Collection
from pixvec.errors import Unavailable
from pixvec.rpc.blocking import BlockingCalls
from services.gateway.cache import RefreshingCache
from services.gateway.last_known import LastKnown


class Directory:
    """Answers from memory; what it knows is a second old at most, or as old as the database's last answer."""

    def __init__(self, catalogue: Catalogue, sql: BlockingCalls) -> None:
        self._catalogue = catalogue
        self._sql = sql
        self._collections: RefreshingCache[str, Collection] = RefreshingCache(self._load_collection)
        self._routing: RefreshingCache[None, Routing] = RefreshingCache(self._load_routing)
        self._last_known = LastKnown()

    async def collection(self, name: str) -> Collection:
        """Raises CollectionNotFound."""
        return await self._collections.get(name)

    async def routing(self) -> Routing:
        """Return who holds what."""
        return await self._routing.get(None)

    async def fresh_routing(self) -> Routing:
        """Return who holds what, read anew if the database answers soon."""
        return await self._routing.refreshed(None)

    def learn(self, collection: Collection) -> None:
        """Know a collection that was just created or changed."""
        self._collections.put(collection.name, collection)

    def forget(self, name: str) -> None:
        """Know no more of a collection that was just deleted."""
        self._collections.forget(name)

    async def _load_collection(self, name: str) -> Collection:
        return await self._sql.read(self._catalogue.collections.get, name)

    async def _load_routing(self, _key: None) -> Routing:
        try:
            routing = await self._sql.read(self._catalogue.topology.routing)
        except Unavailable:
            self._last_known.lost()
            raise
        return self._last_known.completed(routing)
