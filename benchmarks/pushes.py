"""Pushes vectors to a searcher as workers do, without a database between."""

import time
from collections.abc import Sequence

import grpc

from benchmarks.process import COLLECTION_ID, EPOCH, SHARD, SPACE
from benchmarks.vectors import Float32Array, in_parts
from pixvec.domain import Metric, Space
from pixvec.internal.v1 import searcher_service_pb2 as pb
from pixvec.internal.v1 import searcher_service_pb2_grpc
from pixvec.rpc.records import encode_record

_LIMIT_S = 60.0
_PAUSE_S = 0.05


class Pusher:
    """Knows how far the shard's feed has come, and how many vectors it has: one for a shard. `pushed_back_s` counts the
    time it had to wait."""

    def __init__(self, stub: searcher_service_pb2_grpc.SearcherServiceStub, *, seq: int = 0, count: int = 0) -> None:
        self._stub = stub
        self.seq = seq
        self.count = count
        self.pushed_back_s = 0.0

    def push(self, rows: Float32Array, rows_a_push: int) -> None:
        """Push rows, (n, dim), each as an image of its own whose id is its number since the start."""
        for part in in_parts(rows, rows_a_push):
            self.send(self.entries(part, 0))
        if rest := len(rows) % rows_a_push:
            self.send(self.entries(rows[-rest:], 0))

    def push_and_delete(self, row: Float32Array) -> None:
        """Push one vector, (dim,), and delete it."""
        self.send([pb.FeedEntry(seq=self.seq + 1, image_id="gone", record=_record(row))])
        self.send([pb.FeedEntry(seq=self.seq + 1, image_id="gone", deleted=True)])

    def entries(self, rows: Float32Array, ahead: int) -> list[pb.FeedEntry]:
        """Return the rows of the feed for these vectors, to be sent after `ahead` others."""
        return [
            pb.FeedEntry(seq=self.seq + 1 + number, image_id=str(self.count + number), record=_record(row))
            for number, row in enumerate(rows, ahead)
        ]

    def send(self, entries: Sequence[pb.FeedEntry]) -> None:
        """Push the next entries; while the searcher takes no writes, try again."""
        request = pb.ApplyRequest(
            collection_id=COLLECTION_ID, shard=SHARD, epoch=EPOCH, prev_seq=self.seq, entries=entries
        )
        while not self._is_taken(request):
            time.sleep(_PAUSE_S)
            self.pushed_back_s += _PAUSE_S
        self.seq = entries[-1].seq
        self.count += sum(entry.image_id.isdecimal() for entry in entries)

    def _is_taken(self, request: pb.ApplyRequest) -> bool:
        try:
            response = self._stub.Apply(request, timeout=_LIMIT_S)
        except grpc.RpcError as error:
            if isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                return False
            raise
        if response.outcome != pb.APPLY_OUTCOME_APPLIED:
            raise SystemExit(f"The run is void: a push after {self.seq} was not applied.")
        return True


def _record(row: Float32Array) -> bytes:
    # What a record says of its space beside the vector is not compared with anything here.
    space = Space(SPACE, "none", len(row), Metric.EUCLIDEAN, "ab" * 32)
    return encode_record({SPACE: (space, row)}, {})
