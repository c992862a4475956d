"""SearcherService, as the gateway calls it for those who run a deployment: how a searcher stands, and backups."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import grpc

from pixvec.domain import IndexStanding, ShardPosition
from pixvec.errors import PixvecError, ShardUnavailable, Unavailable
from pixvec.internal.v1 import searcher_service_pb2 as pb
from pixvec.internal.v1 import searcher_service_pb2_grpc
from pixvec.rpc.channels import AsyncChannels
from pixvec.rpc.conversions import position_to_wire
from pixvec.rpc.errors import from_rpc_error
from pixvec.rpc.index_settings import standing_from_wire


@dataclass(frozen=True, slots=True)
class HeldStatus:
    """How far a searcher has come with one shard."""

    applied_seq: int
    snapshot_seq: int
    vector_bytes: int
    image_count: int
    index: IndexStanding = field(default_factory=IndexStanding)


@dataclass(frozen=True, slots=True)
class SearcherStatus:
    """What a searcher says of itself: `shards` by collection id and number."""

    memory_bytes: int
    shards: dict[tuple[int, int], HeldStatus]


@dataclass(frozen=True, slots=True)
class CreatedBase:
    """A base that a searcher has made. `stored_bytes`: what it had to send."""

    base_id: str
    stored_bytes: int


class SearcherAdmin(Protocol):
    """Both calls raise ShardUnavailable when the searcher cannot be reached."""

    async def status(self, address: str, timeout_s: float) -> SearcherStatus:
        """Return how the searcher stands."""

    async def create_base(
        self, address: str, collection_id: int, at_least: ShardPosition, timeout_s: float
    ) -> CreatedBase:
        """Have the searcher back a shard up, as it stands at this position or later. Raises what its BaseMaker does."""

    async def close(self) -> None:
        """Let go of connections."""


class GrpcSearcherAdmin:
    """Calls searchers over gRPC, by connections of its own: what takes long is in nobody's way."""

    def __init__(self) -> None:
        self._channels = AsyncChannels()

    async def status(self, address: str, timeout_s: float) -> SearcherStatus:
        """See SearcherAdmin."""
        with _translated(address):
            response = await self._stub(address).Status(pb.StatusRequest(), timeout=timeout_s)
        return SearcherStatus(
            response.memory_bytes,
            {(each.collection_id, each.shard): _to_held(each) for each in response.shards},
        )

    async def create_base(
        self, address: str, collection_id: int, at_least: ShardPosition, timeout_s: float
    ) -> CreatedBase:
        """See SearcherAdmin."""
        position = position_to_wire(at_least)
        request = pb.CreateBaseRequest(collection_id=collection_id, shard=at_least.shard, at_least=position)
        with _translated(address):
            response = await self._stub(address).CreateBase(request, timeout=timeout_s)
        return CreatedBase(response.base_id, response.stored_bytes)

    async def close(self) -> None:
        """See SearcherAdmin."""
        await self._channels.close()

    def _stub(self, address: str) -> "searcher_service_pb2_grpc.SearcherServiceAsyncStub":
        return searcher_service_pb2_grpc.SearcherServiceStub(self._channels.get(address))


@dataclass
class MemorySearcherAdmin:
    """Searchers in this process: what each of them would say by its address. One in `down` cannot be reached;
    `make_base` makes a base of (address, collection id, position)."""

    make_base: Callable[[str, int, ShardPosition], CreatedBase]
    statuses: dict[str, SearcherStatus] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)

    async def status(self, address: str, timeout_s: float) -> SearcherStatus:  # noqa: ARG002
        """See SearcherAdmin."""
        self._reach(address)
        return self.statuses.get(address, SearcherStatus(0, {}))

    async def create_base(
        self,
        address: str,
        collection_id: int,
        at_least: ShardPosition,
        timeout_s: float,  # noqa: ARG002
    ) -> CreatedBase:
        """See SearcherAdmin."""
        self._reach(address)
        return self.make_base(address, collection_id, at_least)

    async def close(self) -> None:
        """Nothing is held open."""

    def _reach(self, address: str) -> None:
        if address in self.down:
            raise ShardUnavailable(f"the searcher at {address} cannot be reached")


def _to_held(status: pb.ShardStatus) -> HeldStatus:
    return HeldStatus(
        status.applied_seq,
        status.snapshot_seq,
        status.vector_bytes,
        status.image_count,
        standing_from_wire(status.index),
    )


@contextmanager
def _translated(address: str) -> Iterator[None]:
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise _to_domain(error, address) from error


def _to_domain(error: grpc.aio.AioRpcError, address: str) -> PixvecError:
    found = from_rpc_error(error)
    return ShardUnavailable(f"the searcher at {address}: {found.message}") if type(found) is Unavailable else found
