"""Joins queries that wait for the same searcher into one call."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from pixvec.domain import SearchOptions, ShardPosition
from pixvec.errors import ShardUnavailable
from pixvec.rpc.lanes import Lanes
from pixvec.rpc.shard_search import ShardAnswer, ShardSearch

_MAX_ROWS = 32
# Keeps the answer of a call within a message: an id has up to 512 bytes.
_MAX_HITS = 50_000

Send: TypeAlias = Callable[[str, ShardSearch, Sequence[bytes], float], Awaitable[list[ShardAnswer]]]
_Key: TypeAlias = tuple[
    str, int, tuple[int, ...], str, int, bytes, float | None, tuple[ShardPosition, ...], SearchOptions
]


class SearchLanes:
    """Sends single queries by `send(address, search, vectors, timeout_s)`, which answers vectors in order."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lanes: Lanes[bytes, ShardAnswer] = Lanes()

    async def search(self, address: str, search: ShardSearch, timeout_s: float) -> ShardAnswer:
        """Return the answer to one query. Raises what `send` raises, and ShardUnavailable after `timeout_s`."""

        async def send(vectors: Sequence[bytes], left_s: float) -> list[ShardAnswer]:
            return await self._send(address, search, vectors, left_s)

        most = max(1, min(_MAX_ROWS, _MAX_HITS // search.k))
        try:
            return await self._lanes.ask(_key_of(address, search), send, search.vector, timeout_s, most=most)
        except TimeoutError as error:
            raise ShardUnavailable(f"the searcher at {address} did not answer in time") from error


def _key_of(address: str, search: ShardSearch) -> _Key:
    return (
        address,
        search.collection_id,
        search.shards,
        search.space,
        search.k,
        search.digest,
        search.min_score,
        search.wait_for,
        search.options,
    )
