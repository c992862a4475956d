"""Searches the shards of one call, in one thread, and merges what they found."""

import functools
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pixvec.domain import SearchOptions, ShardPosition, Space
from pixvec.errors import DigestMismatch, ShardUnavailable, SpaceNotFound
from pixvec.index.interfaces import DEFAULT_OPTIONS, Float32Array, ImageScores, ShardHits
from pixvec.index.merge import merge_hits
from pixvec.rpc.blocking import BlockingCalls
from pixvec.telemetry.metrics import SHARD_SEARCH_SECONDS
from services.searcher.freshness import Freshness
from services.searcher.held_shard import HeldShard
from services.searcher.recall import RecallProbe
from services.searcher.search_queue import MAX_ROWS, SearchQueue
from services.searcher.shard_host import ShardHost

# Kept of the deadline for what comes after the waiting.
_SHARE_FOR_WAITING = 0.9
# Of all queries of one search, over each shard.
_MAX_CANDIDATES = 1_000_000


@dataclass(frozen=True, slots=True)
class Query:
    """Query vectors, (n, dim) float32, for some shards. An empty `digest`: the vectors come from outside."""

    collection_id: int
    shards: tuple[int, ...]
    space: str
    digest: bytes
    vectors: Float32Array
    k: int
    min_score: float | None
    wait_for: tuple[ShardPosition, ...]
    options: SearchOptions = DEFAULT_OPTIONS


@dataclass(frozen=True, slots=True)
class ScoreQuery:
    """Query vectors, (n, dim) float32, that some images of one shard are compared with. An empty `digest`: the vectors
    come from outside."""

    collection_id: int
    shard: int
    space: str
    digest: bytes
    vectors: Float32Array
    image_ids: tuple[str, ...]
    wait_for: tuple[ShardPosition, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """The best images for each query vector over the shards that answered."""

    rows: list[ShardHits]
    shards_answered: tuple[int, ...]
    search_s: float


class Searches:
    """Reads what is held here."""

    def __init__(
        self, host: ShardHost, freshness: Freshness, queue: SearchQueue, threads: BlockingCalls, recall: RecallProbe
    ) -> None:
        self._host = host
        self._freshness = freshness
        self._queue = queue
        self._threads = threads
        self._recall = recall

    async def search(self, query: Query, limit_s: float) -> Answer:
        """Answer from the shards held and ready. Raises SpaceNotFound, DigestMismatch, InvalidVector, StaleToken,
        ShardUnavailable, Overloaded."""
        give_up_at = time.monotonic() + limit_s
        await self._wait(query.collection_id, query.shards, query.wait_for, limit_s)
        ready = [held for shard in dict.fromkeys(query.shards) if (held := self._ready(query.collection_id, shard))]
        for held in ready:
            _check_digest(_space(held, query.space), query.digest)
        if not ready:
            return Answer([], (), 0.0)
        # The shards themselves, not their numbers: one that was dropped and is held anew is another.
        what = (tuple(ready), query.space, query.k, query.min_score, query.options)
        rows, seconds = await self._queue.search(
            what, functools.partial(_search, *what), query.vectors, give_up_at, max_rows=_rows_at_once(query)
        )
        probed = random.choice(ready)  # noqa: S311 - a sample, not a secret
        self._recall.consider(probed, _space(probed, query.space).name, query.vectors, query.k, query.options)
        return Answer(rows, tuple(held.shard for held in ready), seconds)

    async def vectors(
        self,
        collection_id: int,
        shard: int,
        space: str,
        image_ids: Sequence[str],
        wait_for: Sequence[ShardPosition],
        limit_s: float,
        ordinals: Sequence[int] = (),
    ) -> dict[str, Float32Array]:
        """Return stored vectors of those images that are there: all rows, or the one of each that `ordinals` says.
        Raises SpaceNotFound, StaleToken, Overloaded, and ShardUnavailable when the shard is not held or not ready."""
        held = await self._one_ready(collection_id, shard, wait_for, limit_s)
        found = await self._threads.run(held.index.vectors, _space(held, space).name, image_ids)
        if not ordinals:
            return found
        wanted = zip(image_ids, ordinals, strict=True)
        return {
            image_id: found[image_id][row : row + 1] for image_id, row in wanted if row < len(found.get(image_id, ()))
        }

    async def scores(self, query: ScoreQuery, limit_s: float) -> dict[str, ImageScores]:
        """Compare those images that are there. Raises as `vectors` does, and DigestMismatch and InvalidVector."""
        held = await self._one_ready(query.collection_id, query.shard, query.wait_for, limit_s)
        space = _space(held, query.space)
        _check_digest(space, query.digest)
        return await self._threads.run(held.index.scores, space.name, query.vectors, query.image_ids)

    async def _one_ready(
        self, collection_id: int, shard: int, wait_for: Sequence[ShardPosition], limit_s: float
    ) -> HeldShard:
        await self._wait(collection_id, (shard,), wait_for, limit_s)
        held = self._ready(collection_id, shard)
        if held is None:
            raise ShardUnavailable(
                f"shard {shard} of collection {collection_id} is not ready at this searcher", retry_after_s=0.2
            )
        return held

    async def _wait(
        self, collection_id: int, shards: Sequence[int], wait_for: Sequence[ShardPosition], limit_s: float
    ) -> None:
        give_up_at = time.monotonic() + limit_s * _SHARE_FOR_WAITING
        for position in wait_for:
            if position.shard in shards:
                await self._freshness.wait(collection_id, position, max(0.0, give_up_at - time.monotonic()))

    def _ready(self, collection_id: int, shard: int) -> HeldShard | None:
        held = self._host.get((collection_id, shard))
        return held if held is not None and held.ready else None


def _rows_at_once(query: Query) -> int:
    """Return how many queries one search takes: its candidates have to fit into memory."""
    candidates = query.k * max(1.0, query.options.rescore)
    return max(1, min(MAX_ROWS, int(_MAX_CANDIDATES / candidates)))


def _search(
    shards: Sequence[HeldShard],
    space: str,
    k: int,
    min_score: float | None,
    options: SearchOptions,
    vectors: Float32Array,
) -> list[ShardHits]:
    found = []
    for held in shards:
        with SHARD_SEARCH_SECONDS.time():
            found.append(held.index.search(_space(held, space).name, vectors, k, min_score, options))
    return found[0] if len(found) == 1 else [merge_hits(parts, k) for parts in zip(*found, strict=True)]


def _space(held: HeldShard, name: str) -> Space:
    space = held.collection.space(name)
    if space is None:
        known = ", ".join(space.name for space in held.collection.spaces)
        raise SpaceNotFound(f"collection {held.collection.name} has no space {name!r}; it has {known}", field="space")
    return space


def _check_digest(space: Space, digest: bytes) -> None:
    if digest and digest != bytes.fromhex(space.digest):
        raise DigestMismatch(
            f"the query was embedded by {digest.hex()}, space {space.name!r} holds vectors of {space.digest} "
            f"({space.model}): embed the query with the weights the collection was made with, or make a new collection",
            field="digest",
        )
