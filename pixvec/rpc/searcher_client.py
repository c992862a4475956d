"""SearcherService, as the gateway calls it."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Protocol

import grpc

from pixvec.domain import Hit
from pixvec.errors import PixvecError, ShardUnavailable, Unavailable
from pixvec.internal.v1 import searcher_service_pb2 as pb
from pixvec.internal.v1 import searcher_service_pb2_grpc
from pixvec.rpc.apart import put_together
from pixvec.rpc.channels import AsyncChannels
from pixvec.rpc.conversions import params_to_wire, position_to_wire
from pixvec.rpc.errors import from_rpc_error
from pixvec.rpc.search_lanes import SearchLanes
from pixvec.rpc.shard_search import (
    BatchAnswer,
    RankedHits,
    RowScores,
    ShardAnswer,
    ShardScores,
    ShardSearch,
    ShardVectors,
)


class SearcherClient(Protocol):
    """Searches shards where they are held. Every call raises ShardUnavailable when the searcher cannot be reached, and
    StaleToken when a position is from before the shard's feed was renewed."""

    async def search(self, address: str, search: ShardSearch, timeout_s: float) -> ShardAnswer:
        """Search the shards. Raises InvalidVector, SpaceNotFound, DigestMismatch."""

    async def search_batch(self, address: str, search: ShardSearch, timeout_s: float) -> BatchAnswer:
        """Search the shards for many vectors in one message. Raises as `search` does."""

    async def get_vectors(self, address: str, wanted: ShardVectors, timeout_s: float) -> dict[str, bytes]:
        """Return the stored vectors of those images that are there, and have the row asked for, packed row after
        row."""

    async def score(self, address: str, wanted: ShardScores, timeout_s: float) -> dict[str, RowScores]:
        """Compare those images that are there with each query vector, exactly. Raises as `search` does."""

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
            response = await self._stub(address).Search(
                _to_request(search, b"".join(vectors), len(vectors)), timeout=timeout_s
            )
        answered = tuple(response.shards_answered)
        if not response.rows:
            return [ShardAnswer([], answered) for _ in vectors]
        return [ShardAnswer(_to_hits(row), answered) for row in response.rows]

    async def search_batch(self, address: str, search: ShardSearch, timeout_s: float) -> BatchAnswer:
        """See SearcherClient."""
        with _translated(address):
            response = await self._stub(address).Search(
                _to_request(search, search.vector, search.rows), timeout=timeout_s
            )
        return await put_together(search.rows * search.k, _to_batch_answer, response, search.rows)

    async def get_vectors(self, address: str, wanted: ShardVectors, timeout_s: float) -> dict[str, bytes]:
        """See SearcherClient."""
        request = pb.GetVectorsRequest(
            collection_id=wanted.collection_id,
            shard=wanted.shard,
            space=wanted.space,
            image_ids=wanted.image_ids,
            wait_for=[position_to_wire(position) for position in wanted.wait_for],
            ordinals=wanted.ordinals,
        )
        with _translated(address):
            response = await self._stub(address).GetVectors(request, timeout=timeout_s)
        return {found.image_id: found.data for found in response.vectors}

    async def score(self, address: str, wanted: ShardScores, timeout_s: float) -> dict[str, RowScores]:
        """See SearcherClient."""
        request = pb.ScoreRequest(
            collection_id=wanted.collection_id,
            shard=wanted.shard,
            space=wanted.space,
            digest=wanted.digest,
            vectors=wanted.vectors,
            dim=len(wanted.vectors) // 4 // wanted.rows,
            image_ids=wanted.image_ids,
            wait_for=[position_to_wire(position) for position in wanted.wait_for],
        )
        with _translated(address):
            response = await self._stub(address).Score(request, timeout=timeout_s)
        return {each.image_id: RowScores(list(each.scores), list(each.ordinals)) for each in response.images}

    def keep(self, addresses: AbstractSet[str]) -> None:
        """See SearcherClient."""
        self._stubs = {address: stub for address, stub in self._stubs.items() if address in addresses}
        self._channels.keep(addresses)

    async def close(self) -> None:
        """See SearcherClient."""
        await self._channels.close()


def _to_hits(row: pb.RowHits) -> list[Hit]:
    if row.ordinals:
        return list(map(Hit, row.image_ids, row.scores, row.ordinals))
    return list(map(Hit, row.image_ids, row.scores))


def _to_batch_answer(response: pb.SearchResponse, count: int) -> BatchAnswer:
    rows = [RankedHits(list(row.image_ids), list(row.scores), list(row.ordinals)) for row in response.rows]
    return BatchAnswer(rows or [RankedHits([], [])] * count, tuple(response.shards_answered))


def _to_request(search: ShardSearch, vectors: bytes, rows: int) -> pb.SearchRequest:
    return pb.SearchRequest(
        collection_id=search.collection_id,
        shards=search.shards,
        space=search.space,
        digest=search.digest,
        vectors=vectors,
        dim=len(vectors) // 4 // rows,
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
