"""SearcherService, as the gateway calls it."""

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc

from pixvec.domain import Hit, SearchOptions, ShardPosition
from pixvec.errors import PixvecError, ShardUnavailable, StaleToken, Unavailable
from pixvec.internal.v1 import searcher_service_pb2 as pb
from pixvec.internal.v1 import searcher_service_pb2_grpc
from pixvec.rpc.channels import AsyncChannels
from pixvec.rpc.conversions import params_to_wire, position_to_wire
from pixvec.rpc.errors import from_rpc_error
from pixvec.rpc.search_lanes import SearchLanes
from pixvec.rpc.shard_search import ShardAnswer, ShardSearch, best_first


class SearcherClient(Protocol):
    """Searches shards where they are held. Both methods raise ShardUnavailable when the searcher cannot be reached, and
    StaleToken when a position is from before the shard's feed was renewed."""

    async def search(self, address: str, search: ShardSearch, timeout_s: float) -> ShardAnswer:
        """Search the shards. Raises InvalidVector, SpaceNotFound, DigestMismatch."""

    async def get_vector(
        self,
        address: str,
        collection_id: int,
        shard: int,
        space: str,
        image_id: str,
        wait_for: Sequence[ShardPosition],
        timeout_s: float,
    ) -> bytes | None:
        """Return an image's stored vectors, packed row after row, or None when it is not there."""

    def keep(self, addresses: AbstractSet[str]) -> None:
        """Let go of the connections to all other addresses: the searchers there are gone."""

    async def close(self) -> None:
        """Let go of connections."""


class GrpcSearchers:
    """Calls searchers over gRPC. Queries that come together go together."""

    def __init__(self) -> None:
        self._channels = AsyncChannels()
        self._stubs: dict[str, searcher_service_pb2_grpc.SearcherServiceAsyncStub] = {}
        self._lanes = SearchLanes(self._send)

    def _stub(self, address: str) -> "searcher_service_pb2_grpc.SearcherServiceAsyncStub":
        stub = self._stubs.get(address)
        if stub is None:
            stub = searcher_service_pb2_grpc.SearcherServiceStub(self._channels.get(address))
            self._stubs[address] = stub
        return stub

    async def search(self, address: str, search: ShardSearch, timeout_s: float) -> ShardAnswer:
        """See SearcherClient."""
        return await self._lanes.search(address, search, timeout_s)

    async def _send(
        self, address: str, search: ShardSearch, vectors: Sequence[bytes], timeout_s: float
    ) -> list[ShardAnswer]:
        with _translated(address):
            response = await self._stub(address).Search(_to_request(search, vectors), timeout=timeout_s)
        answered = tuple(response.shards_answered)
        if not response.rows:
            return [ShardAnswer([], answered) for _ in vectors]
        return [ShardAnswer(list(map(Hit, row.image_ids, row.scores)), answered) for row in response.rows]

    async def get_vector(
        self,
        address: str,
        collection_id: int,
        shard: int,
        space: str,
        image_id: str,
        wait_for: Sequence[ShardPosition],
        timeout_s: float,
    ) -> bytes | None:
        """See SearcherClient."""
        request = pb.GetVectorsRequest(
            collection_id=collection_id,
            shard=shard,
            space=space,
            image_ids=[image_id],
            wait_for=[position_to_wire(position) for position in wait_for],
        )
        with _translated(address):
            response = await self._stub(address).GetVectors(request, timeout=timeout_s)
        return response.vectors[0].data if response.vectors else None

    def keep(self, addresses: AbstractSet[str]) -> None:
        """See SearcherClient."""
        self._stubs = {address: stub for address, stub in self._stubs.items() if address in addresses}
        self._channels.keep(addresses)

    async def close(self) -> None:
        """See SearcherClient."""
        await self._channels.close()


class ReadableShard(Protocol):
    """What the in-memory twin needs of a shard; every ShardReader of the index has it."""

    @property
    def applied_seq(self) -> int:
        """The position that every search sees."""

    def search(
        self, space: str, queries: Any, k: int, min_score: float | None, options: SearchOptions
    ) -> Sequence[Any]:
        """Search rows of (n, dim) float32; each result has `image_ids` and `scores`."""

    def vectors(self, space: str, image_ids: Sequence[str]) -> Mapping[str, Any]:
        """Return stored vectors of those images that are there."""


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
        held = self._reach(address, search.shards)
        self._check_positions(held, search.collection_id, search.wait_for)
        answered = tuple(shard for shard in search.shards if (search.collection_id, shard) in held)
        rows = self.to_rows(search.vector)
        found: list[Hit] = []
        for shard in answered:
            (best,) = held[search.collection_id, shard].search(
                search.space, rows, search.k, search.min_score, search.options
            )
            found += map(Hit, best.image_ids, map(float, best.scores))
        return ShardAnswer(best_first(found)[: search.k], answered)

    async def get_vector(
        self,
        address: str,
        collection_id: int,
        shard: int,
        space: str,
        image_id: str,
        wait_for: Sequence[ShardPosition],
        timeout_s: float,  # noqa: ARG002
    ) -> bytes | None:
        """See SearcherClient."""
        held = self._reach(address, (shard,))
        self._check_positions(held, collection_id, wait_for)
        if (collection_id, shard) not in held:
            raise ShardUnavailable(f"shard {shard} is not held at {address}")
        found = held[collection_id, shard].vectors(space, [image_id]).get(image_id)
        return None if found is None else struct.pack(f"<{found.size}f", *map(float, found.ravel()))

    def keep(self, addresses: AbstractSet[str]) -> None:
        """See SearcherClient."""
        self.connected &= addresses

    async def close(self) -> None:
        """Nothing is held open."""

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


def _to_request(search: ShardSearch, vectors: Sequence[bytes]) -> pb.SearchRequest:
    return pb.SearchRequest(
        collection_id=search.collection_id,
        shards=search.shards,
        space=search.space,
        digest=search.digest,
        vectors=b"".join(vectors),
        dim=len(vectors[0]) // 4,
        k=search.k,
        min_score=search.min_score,
        wait_for=[position_to_wire(position) for position in search.wait_for],
        params=params_to_wire(search.options),
    )


@contextmanager
def _translated(address: str) -> Iterator[None]:
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise _to_domain(error, address) from error


def _to_domain(error: grpc.aio.AioRpcError, address: str) -> PixvecError:
    found = from_rpc_error(error)
    if type(found) is Unavailable:
        return ShardUnavailable(f"the searcher at {address} does not answer ({found.message})")
    return found
