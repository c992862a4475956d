"""Describes who holds what, and how far each has come: by the catalogue, and by what searchers say of themselves."""

import asyncio
from dataclasses import dataclass

from pixvec.catalogue.topology import KnownSearcher, ShardStanding, TopologyStore
from pixvec.errors import PixvecError
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.searcher_admin import SearcherAdmin, SearcherStatus
from pixvec.telemetry.logging import get_logger
from services.gateway.directory import Directory

log = get_logger(__name__)

# One that takes longer is told as one that does not answer.
_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class TopologyView:
    """Shards by collection name and number, searchers by id. Of those that did not answer there is no status."""

    shards: list[ShardStanding]
    searchers: list[KnownSearcher]
    statuses: dict[str, SearcherStatus]


class Topology:
    """Asks every searcher that lives."""

    def __init__(
        self, directory: Directory, topology: TopologyStore, searchers: SearcherAdmin, sql: BlockingCalls
    ) -> None:
        self._directory = directory
        self._topology = topology
        self._searchers = searchers
        self._sql = sql

    async def describe(self, collection: str) -> TopologyView:
        """Describe one collection, or all for an empty name. Raises CollectionNotFound."""
        collection_id = (await self._directory.collection(collection)).collection_id if collection else None
        shards = await self._sql.run(self._topology.shards, collection_id)
        searchers = await self._sql.run(self._topology.searchers)
        answers = await asyncio.gather(*(self._ask(searcher) for searcher in searchers))
        told = {each.searcher_id: answer for each, answer in zip(searchers, answers, strict=True) if answer is not None}
        return TopologyView(shards, searchers, told)

    async def _ask(self, searcher: KnownSearcher) -> SearcherStatus | None:
        if not searcher.is_live:
            return None
        try:
            return await self._searchers.status(searcher.address, _PATIENCE_S)
        except PixvecError as error:
            log.info("searcher_failed", address=searcher.address, reason=error.reason, error=error.message)
            return None
