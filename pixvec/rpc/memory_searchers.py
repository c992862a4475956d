"""SearcherClient without searchers: shards in this process."""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Protocol

from pixvec.domain import Hit, SearchOptions, ShardPosition
from pixvec.errors import ShardUnavailable, StaleToken
from pixvec.rpc.shard_search import (
    BatchAnswer,
    RankedHits,
    RowScores,
    ShardAnswer,
    ShardScores,
    ShardSearch,
    ShardVectors,
    best_first,
)


class ReadableShard(Protocol):
    """What the in-memory twin needs of a shard; every ShardReader of the index has it."""

    @property
    def applied_seq(self) -> int:
        """The position that every search sees."""

    def search(
        self, space: str, queries: Any, k: int, min_score: float | None, options: SearchOptions
    ) -> Sequence[Any]:
        """Search rows of (n, dim) float32; each result has `image_ids`, `scores` and `ordinals` or None."""

    def vectors(self, space: str, image_ids: Sequence[str]) -> Mapping[str, Any]:
        """Return stored vectors of those images that are there."""

    def scores(self, space: str, queries: Any, image_ids: Sequence[str]) -> Mapping[str, Any]:
        """Score those images that are there; each result has `scores` and `ordinals`."""


@dataclass
class MemorySearchers:
    """Searchers in this process: shards by address and (collection id, shard). `to_rows` makes the (1, dim) float32
    array that the shards take out of packed bytes. An address in `down` cannot be reached."""

    to_rows: Callable[[bytes], Any]
    epoch: str = "memory"
    shards: dict[str, dict[tuple[int, int], ReadableShard]] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    calls: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    connected: set[str] = field(default_factory=set)

    async def search(self, address: str, search: ShardSearch, timeout_s: float) -> ShardAnswer:  # noqa: ARG002
        """See SearcherClient. A position not yet applied is as good as a deadline that passed."""
        held = self._held(address, search)
        return ShardAnswer(self._best(held.values(), search, search.vector), tuple(held))

    async def search_batch(self, address: str, search: ShardSearch, timeout_s: float) -> BatchAnswer:  # noqa: ARG002
        """See SearcherClient."""
        held = self._held(address, search)
        size = len(search.vector) // search.rows
        rows = [search.vector[place : place + size] for place in range(0, len(search.vector), size)]
        found = [self._best(held.values(), search, row) for row in rows]
        return BatchAnswer([_ranked(hits) for hits in found], tuple(held))

    async def get_vectors(
        self,
        address: str,
        wanted: ShardVectors,
        timeout_s: float,  # noqa: ARG002
    ) -> dict[str, bytes]:
        """See SearcherClient."""
        found = self._one(address, wanted).vectors(wanted.space, wanted.image_ids)
        if wanted.ordinals:
            pairs = zip(wanted.image_ids, wanted.ordinals, strict=True)
            found = {image_id: found[image_id][row : row + 1] for image_id, row in pairs if image_id in found}
        return {image_id: _packed(rows) for image_id, rows in found.items() if len(rows)}

    async def score(
        self,
        address: str,
        wanted: ShardScores,
        timeout_s: float,  # noqa: ARG002
    ) -> dict[str, RowScores]:
        """See SearcherClient."""
        queries = self.to_rows(wanted.vectors).reshape(wanted.rows, -1)
        found = self._one(address, wanted).scores(wanted.space, queries, wanted.image_ids)
        return {
            image_id: RowScores(list(map(float, each.scores)), list(map(int, each.ordinals)))
            for image_id, each in found.items()
        }

    def keep(self, addresses: AbstractSet[str]) -> None:
        """See SearcherClient."""
        self.connected &= addresses

    async def close(self) -> None:
        """Nothing is held open."""

    def _one(self, address: str, wanted: ShardVectors | ShardScores) -> ReadableShard:
        held = self._reach(address, (wanted.shard,))
        self._check_positions(held, wanted.collection_id, wanted.wait_for)
        if (wanted.collection_id, wanted.shard) not in held:
            raise ShardUnavailable(f"shard {wanted.shard} is not held at {address}")
        return held[wanted.collection_id, wanted.shard]

    def _held(self, address: str, search: ShardSearch) -> dict[int, ReadableShard]:
        held = self._reach(address, search.shards)
        self._check_positions(held, search.collection_id, search.wait_for)
        key = search.collection_id
        return {shard: held[key, shard] for shard in search.shards if (key, shard) in held}

    def _best(self, shards: Iterable[ReadableShard], search: ShardSearch, vector: bytes) -> list[Hit]:
        rows, found = self.to_rows(vector), list[Hit]()
        for shard in shards:
            (best,) = shard.search(search.space, rows, search.k, search.min_score, search.options)
            ordinals = [0] * len(best.image_ids) if best.ordinals is None else map(int, best.ordinals)
            found += map(Hit, best.image_ids, map(float, best.scores), ordinals)
        return best_first(found)[: search.k]

    def _reach(self, address: str, shards: tuple[int, ...]) -> dict[tuple[int, int], ReadableShard]:
        self.calls.append((address, shards))
        self.connected.add(address)
        if address in self.down:
            raise ShardUnavailable(f"the searcher at {address} cannot be reached")
        return self.shards.get(address, {})

    def _check_positions(
        self, held: Mapping[tuple[int, int], ReadableShard], collection_id: int, wait_for: Iterable[ShardPosition]
    ) -> None:
        for position in wait_for:
            if position.epoch != self.epoch:
                raise StaleToken(f"shard {position.shard} was renewed since the token was given", field="token")
            shard = held.get((collection_id, position.shard))
            if shard is not None and shard.applied_seq < position.seq:
                raise ShardUnavailable(f"shard {position.shard} is at {shard.applied_seq}, not at {position.seq}")


def _ranked(hits: Sequence[Hit]) -> RankedHits:
    ordinals = [hit.ordinal for hit in hits]
    return RankedHits([hit.image_id for hit in hits], [hit.score for hit in hits], ordinals if any(ordinals) else [])


def _packed(rows: Any) -> bytes:
    return struct.pack(f"<{rows.size}f", *map(float, rows.ravel()))
