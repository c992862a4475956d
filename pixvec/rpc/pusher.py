"""Pushes feed rows to searchers, so that they can be found before the next poll. Losing a push loses nothing."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import grpc

from pixvec.catalogue.feed import FeedBatch
from pixvec.catalogue.topology import Routing, TopologyStore
from pixvec.errors import PixvecError
from pixvec.internal.v1 import searcher_service_pb2 as pb
from pixvec.internal.v1 import searcher_service_pb2_grpc
from pixvec.rpc.channels import SyncChannels
from pixvec.telemetry.logging import get_logger
from pixvec.telemetry.metrics import PUSHES

log = get_logger(__name__)

# A push beyond this is left to the feed's readers, which page.
_MAX_PUSH_BYTES = 32 * 2**20

_Apply = Callable[[pb.ApplyRequest, float], "grpc.Future[pb.ApplyResponse]"]


class Pusher(Protocol):
    """Tells searchers of new feed rows. Thread-safe."""

    def push(self, batches: Sequence[FeedBatch]) -> None:
        """Push each batch to every replica of its shard. Never raises for a push that failed."""

    def close(self) -> None:
        """Let go of connections."""


class MemoryPusher:
    """Keeps what was pushed, and hands it to `deliver` if there is one: a test's searcher."""

    def __init__(self, deliver: Callable[[FeedBatch], None] | None = None) -> None:
        self._deliver = deliver
        self.pushed: list[FeedBatch] = []

    def push(self, batches: Sequence[FeedBatch]) -> None:
        """Deliver each batch in order."""
        for batch in batches:
            self.pushed.append(batch)
            if self._deliver is not None:
                self._deliver(batch)

    def close(self) -> None:
        """Nothing is held."""


class GrpcPusher:
    """Pushes over gRPC to the replicas that `topology` names, all at once, giving each `timeout_s`.

    The routing is read again when it is older than `refresh_s` or after a push failed. A searcher that did not answer
    in time is passed over for `pause_s`, so that a hung one does not slow every commit.
    """

    def __init__(
        self,
        topology: TopologyStore,
        *,
        timeout_s: float = 1.5,
        refresh_s: float = 1.0,
        pause_s: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topology = topology
        self._timeout_s = timeout_s
        self._refresh_s = refresh_s
        self._pause_s = pause_s
        self._clock = clock
        self._channels = SyncChannels()
        self._lock = threading.Lock()
        self._routing = Routing(version=-1, replicas={})
        self._stale_after = -1.0
        self._paused_until: dict[str, float] = {}

    def push(self, batches: Sequence[FeedBatch]) -> None:
        """Push to every replica concurrently; the batches of one shard in order."""
        merged = merge_batches(batches)
        if not merged:
            return
        routing = self._current_routing()
        for turn in in_turns(merged):
            self._push_together(turn, routing)

    def close(self) -> None:
        """Close the connections."""
        self._channels.close()

    def _current_routing(self) -> Routing:
        with self._lock:
            now = self._clock()
            if now >= self._stale_after:
                try:
                    self._learn(self._topology.routing())
                except PixvecError as error:
                    log.warning("routing_unknown", error=error.message)
                self._stale_after = now + self._refresh_s
            return self._routing

    def _learn(self, routing: Routing) -> None:
        if routing.version != self._routing.version:
            addresses = routing.addresses
            self._channels.keep(addresses)
            self._paused_until = {each: until for each, until in self._paused_until.items() if each in addresses}
        self._routing = routing

    def _push_together(self, batches: Iterable[FeedBatch], routing: Routing) -> None:
        calls = []
        for batch in batches:
            replicas = routing.replicas.get((batch.collection_id, batch.shard), ())
            request = to_apply_request(batch)
            if not replicas or request.ByteSize() > _MAX_PUSH_BYTES:
                PUSHES.labels("left_to_feed").inc(len(batch.entries))
                continue
            for replica in replicas:
                if self._clock() >= self._paused_until.get(replica.address, 0):
                    call = self._apply(replica.address)(request, self._timeout_s)
                    calls.append((replica.address, batch, call))
        if not calls:
            self._stale_after = -1
        for address, batch, call in calls:
            self._settle(address, batch, call)

    def _apply(self, address: str) -> _Apply:
        stub = searcher_service_pb2_grpc.SearcherServiceStub(self._channels.get(address))
        return lambda request, timeout_s: stub.Apply.future(request, timeout=timeout_s)

    def _settle(self, address: str, batch: FeedBatch, call: "grpc.Future[pb.ApplyResponse]") -> None:
        try:
            response = call.result()
        except grpc.RpcError as error:
            self._note_failure(address, batch, error)
            return
        applied = response.outcome == pb.APPLY_OUTCOME_APPLIED
        PUSHES.labels("applied" if applied else "will_catch_up").inc(len(batch.entries))

    def _note_failure(self, address: str, batch: FeedBatch, error: grpc.RpcError) -> None:
        code = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
        PUSHES.labels("failed").inc(len(batch.entries))
        log.info("push_failed", address=address, collection=batch.collection_id, shard=batch.shard, code=code.name)
        self._stale_after = -1
        # A searcher that is full says so for as long as its builds take: it reads the feed then.
        if code in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED):
            self._paused_until[address] = self._clock() + self._pause_s


def merge_batches(batches: Sequence[FeedBatch]) -> list[FeedBatch]:
    """Join batches of one shard that follow on from each other, so that a shard is told of them in one push."""
    merged: list[FeedBatch] = []
    last_of_shard: dict[tuple[int, int, str], int] = {}
    for batch in batches:
        if not batch.entries:
            continue
        key = (batch.collection_id, batch.shard, batch.epoch)
        index = last_of_shard.get(key)
        if index is not None and merged[index].entries[-1].seq == batch.prev_seq:
            before = merged[index]
            entries = before.entries + batch.entries
            merged[index] = FeedBatch(before.collection_id, before.shard, before.epoch, before.prev_seq, entries)
        else:
            last_of_shard[key] = len(merged)
            merged.append(batch)
    return merged


def in_turns(batches: Sequence[FeedBatch]) -> list[list[FeedBatch]]:
    """Spread batches over turns, so that those of one shard are in turns of their own, in order."""
    turns: list[list[FeedBatch]] = []
    turn_of: dict[tuple[int, int], int] = {}
    for batch in batches:
        key = (batch.collection_id, batch.shard)
        turn = turn_of[key] = turn_of.get(key, -1) + 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(batch)
    return turns


def to_apply_request(batch: FeedBatch) -> pb.ApplyRequest:
    """Return a batch as it travels."""
    return pb.ApplyRequest(
        collection_id=batch.collection_id,
        shard=batch.shard,
        epoch=batch.epoch,
        prev_seq=batch.prev_seq,
        entries=[
            pb.FeedEntry(seq=entry.seq, image_id=entry.image_id, deleted=entry.deleted, record=entry.record)
            for entry in batch.entries
        ],
    )
