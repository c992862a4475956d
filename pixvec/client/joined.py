"""Searches by vector that one client waits for at the same time go to the gateway together: a call costs far more than
a vector in it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from pixvec.api.v1 import search_service_pb2 as pb
from pixvec.errors import Unavailable
from pixvec.rpc.lanes import Lanes

# What a batch can say of its queries; a search that says more goes by itself.
_JOINABLE = frozenset(("collection", "vector", "space", "limit", "min_score", "params", "consistency", "token"))
_MAX_QUERIES = 64
# Of a batch: see QueryBatchRequest.
_MAX_HITS = 100_000

# What answers within so many seconds, or raises PixvecError.
Query: TypeAlias = Callable[[pb.QueryRequest, float], Awaitable[pb.QueryResponse]]
QueryBatch: TypeAlias = Callable[[pb.QueryBatchRequest, float], Awaitable[pb.QueryBatchResponse]]


class JoinedSearches:
    """Belongs to an event loop. A lone search goes at once and as it is; those that come meanwhile share a batch."""

    def __init__(self, query: Query, query_batch: QueryBatch) -> None:
        self._query = query
        self._query_batch = query_batch
        self._lanes: Lanes[bytes, pb.QueryResponse] = Lanes()

    async def search(
        self,
        request: pb.QueryRequest,
        timeout: float = 10.0,  # noqa: ASYNC109 - named as gRPC names that of its calls
    ) -> pb.QueryResponse:
        """Return the answer; its timings and coverage are those of the call it went with. Raises what the calls raise,
        and Unavailable after `timeout` seconds of waiting for one."""
        if not _is_joinable(request):
            return await self._query(request, timeout)
        vector = request.vector.data
        request.ClearField("vector")
        key = (len(vector), request.SerializeToString(deterministic=True))

        async def send(vectors: Sequence[bytes], left_s: float) -> Sequence[pb.QueryResponse]:
            if len(vectors) == 1:
                # Its own: gRPC packs it later, when another may have been asked.
                one = pb.QueryRequest(vector={"data": vectors[0]})
                one.MergeFrom(request)
                return [await self._query(one, left_s)]
            return _apart(await self._query_batch(_batch(request, vectors), left_s))

        most = max(1, min(_MAX_QUERIES, _MAX_HITS // max(1, request.limit)))
        try:
            return await self._lanes.ask(key, send, vector, timeout, most=most)
        except TimeoutError as error:
            raise Unavailable(f"no answer within {timeout:g} s; try again, or give it more time") from error


def _is_joinable(request: pb.QueryRequest) -> bool:
    return request.WhichOneof("query") == "vector" and all(field.name in _JOINABLE for field, _ in request.ListFields())


def _batch(request: pb.QueryRequest, vectors: Sequence[bytes]) -> pb.QueryBatchRequest:
    return pb.QueryBatchRequest(
        collection=request.collection,
        vectors={"data": b"".join(vectors), "dim": len(vectors[0]) // 4},
        space=request.space,
        limit=request.limit,
        min_score=request.min_score if request.HasField("min_score") else None,
        params=request.params if request.HasField("params") else None,
        consistency=request.consistency,
        token=request.token if request.HasField("token") else None,
    )


def _apart(response: pb.QueryBatchResponse) -> list[pb.QueryResponse]:
    return [
        pb.QueryResponse(hits=_hits(packed), coverage=response.coverage, timings=response.timings, space=response.space)
        for packed in response.results
    ]


def _hits(packed: pb.PackedHits) -> list[pb.Hit]:
    pairs = zip(packed.image_ids, packed.scores, strict=True)
    if not packed.ordinals:
        return [pb.Hit(image_id=image_id, score=score) for image_id, score in pairs]
    return [
        pb.Hit(image_id=image_id, score=score, region={"region_id": f"{image_id}#{ordinal}", "ordinal": ordinal})
        for (image_id, score), ordinal in zip(pairs, packed.ordinals, strict=True)
    ]
