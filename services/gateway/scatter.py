"""Asks one ready replica of every shard, and another one where the first is slow or does not answer."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from pixvec.catalogue.sharding import shard_of
from pixvec.catalogue.topology import Replica, Routing
from pixvec.domain import Collection, ShardPosition
from pixvec.errors import ShardUnavailable
from pixvec.rpc.searcher_client import SearcherClient
from pixvec.rpc.shard_search import BatchAnswer, RowScores, ShardAnswer, ShardScores, ShardSearch, ShardVectors
from services.gateway.asking import Call, Round
from services.gateway.directory import Directory
from services.gateway.gathered import A, Ask, Gathered
from services.gateway.hedging import Hedging
from services.gateway.query import Deadline
from services.gateway.together import all_of

# What is left of the deadline for merging, hydrating and the way back.
_SHARE_OF_DEADLINE = 0.9
# What the first replica asked may take of that, where there is another one to ask.
_FIRST_REPLICA_SHARE = 0.5
_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 0.5

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class StoredVectorsQuery:
    """Asks for the vectors of some images in one space: all of each, or the one that `ordinals` says."""

    collection: Collection
    space: str
    image_ids: tuple[str, ...]
    wait_for: tuple[ShardPosition, ...]
    ordinals: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredScoresQuery:
    """Asks how well some images fit each of `rows` query vectors, row after row in packed little-endian float32."""

    collection: Collection
    space: str
    image_ids: tuple[str, ...]
    wait_for: tuple[ShardPosition, ...]
    vectors: bytes
    rows: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class StoredScores:
    """How well images fit, by id, as far as they are there; `missing`: shards that may hold some and did not answer."""

    found: Mapping[str, RowScores]
    missing: frozenset[int]


@dataclass(frozen=True, slots=True)
class _OfImages(Generic[V]):
    """What some shards say of images."""

    found: Mapping[str, V]
    shards_answered: tuple[int, ...]


class Scatter:
    """Spreads queries over replicas, turn by turn.

    `complete`: keep asking until each shard has answered, and raise ShardUnavailable if the deadline passes first;
    otherwise it is raised only when no shard answers, and once some have, the others get `partial_after_s`, or as long
    again as those took.
    """

    def __init__(self, directory: Directory, searchers: SearcherClient, *, partial_after_s: float = 2.0) -> None:
        self._directory = directory
        self._searchers = searchers
        self._partial_after_s = partial_after_s
        self._hedging = Hedging()
        self._turn = 0
        self._version = -1

    async def search(
        self, collection: Collection, search: ShardSearch, deadline: Deadline, *, complete: bool
    ) -> Gathered[ShardAnswer]:
        """Ask every shard for the hits of one vector. See `Scatter`."""

        async def ask(address: str, shards: tuple[int, ...], timeout_s: float) -> ShardAnswer:
            return await self._searchers.search(address, _narrowed(search, shards), timeout_s)

        return await self._gather(collection, range(collection.shard_count), ask, deadline, complete=complete)

    async def search_batch(
        self, collection: Collection, search: ShardSearch, deadline: Deadline, *, complete: bool
    ) -> Gathered[BatchAnswer]:
        """Ask every shard for the hits of many vectors, each searcher once for all of them. See `Scatter`."""

        async def ask(address: str, shards: tuple[int, ...], timeout_s: float) -> BatchAnswer:
            return await self._searchers.search_batch(address, _narrowed(search, shards), timeout_s)

        return await self._gather(collection, range(collection.shard_count), ask, deadline, complete=complete)

    async def vectors(self, wanted: StoredVectorsQuery, deadline: Deadline, *, complete: bool) -> Mapping[str, bytes]:
        """Return the stored vectors of those images that are there, packed row after row. Raises ShardUnavailable
        unless every shard that may hold one answers; `complete`: as in `Scatter`."""

        async def stored(address: str, shard: int, image_ids: list[str], timeout_s: float) -> Mapping[str, bytes]:
            return await self._stored(address, wanted, shard, image_ids, timeout_s)

        gathered = await self._of_images(wanted, stored, deadline, complete=complete)
        if gathered.missing:
            raise gathered.unavailable(wanted.collection)
        return _together(gathered)

    async def scores(self, wanted: StoredScoresQuery, deadline: Deadline, *, complete: bool) -> StoredScores:
        """Return how well those images that are there fit each query vector. `complete`: as in `Scatter`; otherwise
        nothing is raised where no shard answers: all are missing then."""

        async def scored(address: str, shard: int, image_ids: list[str], timeout_s: float) -> Mapping[str, RowScores]:
            query = ShardScores(
                wanted.collection.collection_id,
                shard,
                wanted.space,
                wanted.vectors,
                wanted.rows,
                tuple(image_ids),
                wanted.digest,
                _of_shard(wanted.wait_for, shard),
            )
            return await self._searchers.score(address, query, timeout_s)

        try:
            gathered = await self._of_images(wanted, scored, deadline, complete=complete)
        except ShardUnavailable:
            if complete:
                raise
            shards = wanted.collection.shard_count
            return StoredScores({}, frozenset(shard_of(image_id, shards) for image_id in wanted.image_ids))
        return StoredScores(_together(gathered), frozenset(gathered.missing))

    async def _of_images(
        self,
        wanted: StoredVectorsQuery | StoredScoresQuery,
        ask_shard: Callable[[str, int, list[str], float], Coroutine[Any, Any, Mapping[str, V]]],
        deadline: Deadline,
        *,
        complete: bool,
    ) -> Gathered[_OfImages[V]]:
        """Ask each shard that may hold one of the images."""
        by_shard: dict[int, list[str]] = {}
        for image_id in dict.fromkeys(wanted.image_ids):
            by_shard.setdefault(shard_of(image_id, wanted.collection.shard_count), []).append(image_id)

        async def ask(address: str, shards: tuple[int, ...], timeout_s: float) -> _OfImages[V]:
            calls = [ask_shard(address, shard, by_shard[shard], timeout_s) for shard in shards]
            found = [await calls[0]] if len(calls) == 1 else await all_of(calls)
            return _OfImages({image_id: value for each in found for image_id, value in each.items()}, shards)

        return await self._gather(wanted.collection, by_shard, ask, deadline, complete=complete)

    async def _stored(
        self, address: str, wanted: StoredVectorsQuery, shard: int, image_ids: list[str], timeout_s: float
    ) -> Mapping[str, bytes]:
        wait_for = _of_shard(wanted.wait_for, shard)
        rows = dict(zip(wanted.image_ids, wanted.ordinals, strict=True)) if wanted.ordinals else {}
        ordinals = tuple(rows[image_id] for image_id in image_ids) if rows else ()
        query = ShardVectors(wanted.collection.collection_id, shard, wanted.space, tuple(image_ids), wait_for, ordinals)
        return await self._searchers.get_vectors(address, query, timeout_s)

    async def _gather(
        self, collection: Collection, shards: Iterable[int], ask: Ask[A], deadline: Deadline, *, complete: bool
    ) -> Gathered[A]:
        self._turn += 1
        gathered: Gathered[A] = Gathered(tuple(shards))
        deadline = deadline.earlier(_SHARE_OF_DEADLINE)
        routing = self._noted(await self._directory.routing())
        await self._ask(gathered, collection, ask, routing, deadline, complete=complete)
        if len(gathered.answered) < len(gathered.shards):
            await self._ask_again(gathered, collection, ask, deadline, complete=complete)
        return gathered

    def _noted(self, routing: Routing) -> Routing:
        """Return the routing; when it is another one, let go of searchers that are gone."""
        if routing.version != self._version:
            self._version = routing.version
            self._searchers.keep(routing.addresses)
        return routing

    async def _ask_again(
        self, gathered: Gathered[A], collection: Collection, ask: Ask[A], deadline: Deadline, *, complete: bool
    ) -> None:
        async for routing in self._later_routings(gathered, deadline, complete=complete):
            await self._ask(gathered, collection, ask, routing, deadline, complete=complete)
            if not gathered.missing:
                return
        if complete or not gathered.answered:
            raise gathered.unavailable(collection)

    async def _later_routings(
        self, gathered: Gathered[A], deadline: Deadline, *, complete: bool
    ) -> AsyncIterator[Routing]:
        """Yield the routing read anew: once, or until the deadline where the answer has to be complete."""
        yield await self._directory.fresh_routing()
        pause_s = _PAUSE_S
        while complete and deadline.left_s > pause_s:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            gathered.failed.clear()
            yield await self._directory.fresh_routing()

    async def _ask(
        self,
        gathered: Gathered[A],
        collection: Collection,
        ask: Ask[A],
        routing: Routing,
        deadline: Deadline,
        *,
        complete: bool,
    ) -> None:
        key = collection.collection_id
        calls = self._calls(routing, key, gathered.missing, gathered.failed)

        def others(call: Call) -> Sequence[Call]:
            found = self._calls(routing, key, call.shards, gathered.failed | {call.address})
            return found if sum(len(each.shards) for each in found) == len(call.shards) else ()

        timeout_s = deadline.left_s * (_FIRST_REPLICA_SHARE if any(call.has_other for call in calls) else 1)
        partial_after_s = None if complete else self._partial_after_s
        await Round(gathered, ask, others, self._hedging, timeout_s, partial_after_s).make(calls)

    def _calls(
        self, routing: Routing, collection_id: int, shards: Iterable[int], avoided: AbstractSet[str]
    ) -> list[Call]:
        """Return whom to ask about those of the shards that somebody holds ready."""
        groups: dict[str, list[int]] = {}
        replaceable: set[str] = set()
        now = asyncio.get_running_loop().time()
        for shard in shards:
            if ready := _ready(routing, collection_id, shard, avoided):
                best = self._hedging.preferred(ready, now)
                address = best[self._turn % len(best)].address
                groups.setdefault(address, []).append(shard)
                if len(ready) > 1:
                    replaceable.add(address)
        return [Call(address, tuple(held), address in replaceable) for address, held in groups.items()]


def _of_shard(positions: Iterable[ShardPosition], shard: int) -> tuple[ShardPosition, ...]:
    return tuple(position for position in positions if position.shard == shard)


def _together(gathered: Gathered[_OfImages[V]]) -> dict[str, V]:
    return {image_id: value for answer in gathered.answers for image_id, value in answer.found.items()}


def _ready(routing: Routing, collection_id: int, shard: int, avoided: AbstractSet[str]) -> list[Replica]:
    replicas = routing.replicas.get((collection_id, shard), ())
    return [replica for replica in replicas if replica.ready and replica.address not in avoided]


def _narrowed(search: ShardSearch, shards: tuple[int, ...]) -> ShardSearch:
    wait_for = tuple(position for position in search.wait_for if position.shard in shards)
    return replace(search, shards=shards, wait_for=wait_for)
