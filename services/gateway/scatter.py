"""Asks one ready replica of every shard, and another one where the first does not answer."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace

from pixvec.catalogue.topology import Replica, Routing
from pixvec.domain import Collection, Hit, ShardPosition
from pixvec.errors import FailedPrecondition, InvalidRequest, NotFound, PixvecError, ShardUnavailable
from pixvec.rpc.searcher_client import SearcherClient
from pixvec.rpc.shard_search import ShardSearch, best_first
from pixvec.telemetry.logging import get_logger
from services.gateway.directory import Directory
from services.gateway.query import Deadline

log = get_logger(__name__)

# What is left of the deadline for merging, hydrating and the way back.
_SHARE_OF_DEADLINE = 0.9
# What the first replica asked may take of that, where there is another one to ask.
_FIRST_REPLICA_SHARE = 0.5
_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 0.5


@dataclass(slots=True)
class _Failed:
    """Searchers that did not answer this query, and what the last of them said."""

    addresses: set[str] = field(default_factory=set)
    last_error: PixvecError | None = None

    def note(self, address: str, error: PixvecError) -> None:
        """Remember a failure. Raises what another replica would answer just the same."""
        if isinstance(error, InvalidRequest | FailedPrecondition | NotFound):
            raise error
        log.info("searcher_failed", address=address, reason=error.reason, error=error.message)
        self.addresses.add(address)
        self.last_error = error


@dataclass(frozen=True, slots=True)
class StoredVectorQuery:
    """Asks for the vector of one image in one space."""

    collection: Collection
    shard: int
    space: str
    image_id: str
    wait_for: tuple[ShardPosition, ...]


@dataclass(slots=True)
class Gathered:
    """What the shards answered so far: one list of hits, best first, for each searcher that answered."""

    answers: list[list[Hit]] = field(default_factory=list)
    answered: set[int] = field(default_factory=set)
    failed: _Failed = field(default_factory=_Failed)

    def missing(self, collection: Collection) -> list[int]:
        """Return the shards that have not answered."""
        return [shard for shard in range(collection.shard_count) if shard not in self.answered]

    def best(self, limit: int) -> list[Hit]:
        """Return the best hits of all."""
        if len(self.answers) == 1:
            return self.answers[0][:limit]
        return best_first(hit for hits in self.answers for hit in hits)[:limit]


class Scatter:
    """Spreads queries over replicas, turn by turn."""

    def __init__(self, directory: Directory, searchers: SearcherClient) -> None:
        self._directory = directory
        self._searchers = searchers
        self._turn = 0
        self._version = -1

    async def search(
        self, collection: Collection, search: ShardSearch, deadline: Deadline, *, complete: bool
    ) -> Gathered:
        """Ask every shard. `complete`: keep asking until each has answered, and raise ShardUnavailable if the deadline
        passes first; otherwise it is raised only when no shard answers."""
        self._turn += 1
        gathered = Gathered()
        routing = self._noted(await self._directory.routing())
        await self._ask(gathered, range(collection.shard_count), search, routing, deadline)
        if len(gathered.answered) < collection.shard_count:
            await self._ask_again(gathered, collection, search, deadline, complete=complete)
        return gathered

    async def get_vector(self, wanted: StoredVectorQuery, deadline: Deadline, *, complete: bool) -> bytes | None:
        """Return a stored vector, or None when the image is not there. `complete`: as in `search`."""
        self._turn += 1
        failed = _Failed()
        found, vector = await self._fetch(wanted, self._noted(await self._directory.routing()), failed, deadline)
        if found:
            return vector
        async for routing in self._later_routings(failed, deadline, complete=complete):
            found, vector = await self._fetch(wanted, routing, failed, deadline)
            if found:
                return vector
        raise _unavailable(wanted.collection, [wanted.shard], failed.last_error)

    def _noted(self, routing: Routing) -> Routing:
        """Return the routing; when it is another one, let go of searchers that are gone."""
        if routing.version != self._version:
            self._version = routing.version
            self._searchers.keep(routing.addresses)
        return routing

    async def _fetch(
        self, wanted: StoredVectorQuery, routing: Routing, failed: _Failed, deadline: Deadline
    ) -> tuple[bool, bytes | None]:
        ready = _ready(routing, wanted.collection.collection_id, wanted.shard, failed.addresses)
        if not ready:
            return False, None
        address = ready[self._turn % len(ready)].address
        timeout_s = deadline.left_s * _share(has_alternative=len(ready) > 1)
        try:
            vector = await self._searchers.get_vector(
                address,
                wanted.collection.collection_id,
                wanted.shard,
                wanted.space,
                wanted.image_id,
                wanted.wait_for,
                timeout_s,
            )
        except PixvecError as error:
            failed.note(address, error)
            return False, None
        return True, vector

    async def _ask_again(
        self, gathered: Gathered, collection: Collection, search: ShardSearch, deadline: Deadline, *, complete: bool
    ) -> None:
        missing = gathered.missing(collection)
        async for routing in self._later_routings(gathered.failed, deadline, complete=complete):
            await self._ask(gathered, missing, search, routing, deadline)
            missing = gathered.missing(collection)
            if not missing:
                return
        if complete or not gathered.answered:
            raise _unavailable(collection, missing, gathered.failed.last_error)

    async def _later_routings(self, failed: _Failed, deadline: Deadline, *, complete: bool) -> AsyncIterator[Routing]:
        """Yield the routing read anew: once, or until the deadline where the answer has to be complete."""
        yield await self._directory.fresh_routing()
        pause_s = _PAUSE_S
        while complete and deadline.left_s > pause_s:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            failed.addresses.clear()
            yield await self._directory.fresh_routing()

    async def _ask(
        self, gathered: Gathered, shards: Iterable[int], search: ShardSearch, routing: Routing, deadline: Deadline
    ) -> None:
        groups, alternatives = self._group(routing, search.collection_id, shards, gathered.failed.addresses)
        timeout_s = deadline.left_s * _share(has_alternative=alternatives)
        calls = [
            self._ask_one(gathered, address, _narrowed(search, tuple(held)), timeout_s)
            for address, held in groups.items()
        ]
        # One searcher is the common case, and needs no task of its own.
        if len(calls) == 1:
            await calls[0]
        elif calls:
            await asyncio.gather(*calls)

    async def _ask_one(self, gathered: Gathered, address: str, search: ShardSearch, timeout_s: float) -> None:
        try:
            answer = await self._searchers.search(address, search, timeout_s)
        except PixvecError as error:
            gathered.failed.note(address, error)
            return
        if answer.shards_answered:
            gathered.answers.append(answer.hits)
            gathered.answered.update(answer.shards_answered)
        if len(answer.shards_answered) < len(search.shards):
            gathered.failed.addresses.add(address)

    def _group(
        self, routing: Routing, collection_id: int, shards: Iterable[int], avoided: set[str]
    ) -> tuple[dict[str, list[int]], bool]:
        """Return shards by the address to ask, and whether any of them has another replica."""
        groups: dict[str, list[int]] = {}
        alternatives = False
        for shard in shards:
            ready = _ready(routing, collection_id, shard, avoided)
            if ready:
                chosen = ready[self._turn % len(ready)]
                groups.setdefault(chosen.address, []).append(shard)
                alternatives = alternatives or len(ready) > 1
        return groups, alternatives


def _ready(routing: Routing, collection_id: int, shard: int, avoided: set[str]) -> list[Replica]:
    replicas = routing.replicas.get((collection_id, shard), ())
    return [replica for replica in replicas if replica.ready and replica.address not in avoided]


def _narrowed(search: ShardSearch, shards: tuple[int, ...]) -> ShardSearch:
    wait_for = tuple(position for position in search.wait_for if position.shard in shards)
    return replace(search, shards=shards, wait_for=wait_for)


def _share(*, has_alternative: bool) -> float:
    return _SHARE_OF_DEADLINE * (_FIRST_REPLICA_SHARE if has_alternative else 1)


def _unavailable(collection: Collection, missing: list[int], cause: PixvecError | None) -> ShardUnavailable:
    why = f" ({cause.message})" if cause else "; no searcher holds it ready"
    noun = f"shard {missing[0]}" if len(missing) == 1 else f"shards {', '.join(map(str, missing))}"
    error = ShardUnavailable(
        f"{noun} of {collection.name} did not answer in time{why}; try again in a moment", retry_after_s=0.2
    )
    error.__cause__ = cause
    return error
