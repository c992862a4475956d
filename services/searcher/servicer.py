"""SearcherService: pushes in, hits out."""

from typing import Any

from pixvec.errors import Overloaded, Unavailable
from pixvec.internal.v1 import searcher_service_pb2 as pb
from pixvec.internal.v1 import searcher_service_pb2_grpc
from pixvec.rpc.apart import put_together
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.conversions import position_from_wire
from pixvec.rpc.deadlines import time_left_s
from pixvec.telemetry.metrics import WRITES_PUSHED_BACK
from services.searcher.base_maker import BaseMaker
from services.searcher.converters import (
    to_entries,
    to_query,
    to_score_query,
    to_score_response,
    to_search_response,
    to_status,
    to_vectors_response,
)
from services.searcher.follower import Follower
from services.searcher.held_shard import HeldShard
from services.searcher.memory import resident_bytes
from services.searcher.search import Searches
from services.searcher.shard_host import ShardHost
from services.searcher.snapshots import Snapshots

# For callers who name no deadline.
_DEFAULT_LIMIT_S = 10.0


class SearcherService(searcher_service_pb2_grpc.SearcherServiceServicer):
    """Each method: check, convert, call, convert back."""

    def __init__(
        self,
        searcher_id: str,
        host: ShardHost,
        searches: Searches,
        follower: Follower,
        snapshots: Snapshots,
        applying: BlockingCalls,
        base_maker: BaseMaker,
    ) -> None:
        self._searcher_id = searcher_id
        self._host = host
        self._searches = searches
        self._follower = follower
        self._snapshots = snapshots
        self._applying = applying
        self._base_maker = base_maker

    async def Apply(self, request: pb.ApplyRequest, context: Any) -> pb.ApplyResponse:  # noqa: ARG002
        """Apply a push that starts where the shard stands; anything else is left to the feed."""
        entries = to_entries(request)
        held = self._host.get((request.collection_id, request.shard))
        if held is None or held.epoch != request.epoch:
            self._follower.wake()
            return pb.ApplyResponse(outcome=pb.APPLY_OUTCOME_WILL_CATCH_UP)
        _check_room(held)
        if held.loaded and request.prev_seq <= held.applied_seq:
            try:
                applied = await self._applying.run(held.advance, request.prev_seq, entries, entries[-1].seq)
            except Overloaded:
                applied = False
            if applied:
                return pb.ApplyResponse(outcome=pb.APPLY_OUTCOME_APPLIED, applied_seq=held.applied_seq)
            # Those that waited with it may have filled the shard.
            _check_room(held)
        self._follower.catch_up(held)
        return pb.ApplyResponse(outcome=pb.APPLY_OUTCOME_WILL_CATCH_UP, applied_seq=held.applied_seq)

    async def Search(self, request: pb.SearchRequest, context: Any) -> pb.SearchResponse:
        """Search the shards held here, as fresh as asked."""
        query = to_query(request)
        answer = await self._searches.search(query, time_left_s(context, _DEFAULT_LIMIT_S))
        return await put_together(len(query.vectors) * query.k, to_search_response, answer)

    async def GetVectors(self, request: pb.GetVectorsRequest, context: Any) -> pb.GetVectorsResponse:
        """Return stored vectors of one shard."""
        vectors = await self._searches.vectors(
            request.collection_id,
            request.shard,
            request.space,
            list(request.image_ids),
            [position_from_wire(position) for position in request.wait_for],
            time_left_s(context, _DEFAULT_LIMIT_S),
            list(request.ordinals),
        )
        return to_vectors_response(vectors)

    async def Score(self, request: pb.ScoreRequest, context: Any) -> pb.ScoreResponse:
        """Compare named images of one shard with query vectors."""
        query = to_score_query(request)
        return to_score_response(await self._searches.scores(query, time_left_s(context, _DEFAULT_LIMIT_S)))

    async def Status(self, request: pb.StatusRequest, context: Any) -> pb.StatusResponse:  # noqa: ARG002
        """Say how every shard stands."""
        return pb.StatusResponse(
            searcher_id=self._searcher_id,
            shards=[to_status(held) for held in self._host],
            memory_bytes=resident_bytes(),
        )

    async def Snapshot(self, request: pb.SnapshotRequest, context: Any) -> pb.SnapshotResponse:  # noqa: ARG002
        """Write what has changed to the disk, now."""
        failures = await self._snapshots.write_changed()
        self._follower.wake()
        if failures:
            raise Unavailable(f"not written to the disk: {'; '.join(failures)}")
        return pb.SnapshotResponse(shards=[to_status(held) for held in self._host])

    async def CreateBase(self, request: pb.CreateBaseRequest, context: Any) -> pb.CreateBaseResponse:
        """Back one shard up to the blob store."""
        at_least = position_from_wire(request.at_least) if request.HasField("at_least") else None
        key = (request.collection_id, request.shard)
        made = await self._base_maker.make(key, at_least, time_left_s(context, _DEFAULT_LIMIT_S))
        self._follower.wake()
        return pb.CreateBaseResponse(base_id=made.base.base_id, stored_bytes=made.stored_bytes)


def _check_room(held: HeldShard) -> None:
    """Raise Overloaded when no push can be taken."""
    if held.is_full:
        WRITES_PUSHED_BACK.inc()
        raise Overloaded(
            f"shard {held.shard} of collection {held.collection.name} takes no writes until its growing rows are "
            "sealed; it reads them from the feed then",
            retry_after_s=1.0,
        )
