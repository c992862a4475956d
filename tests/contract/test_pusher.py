"""Pushes, by the in-memory twin and over gRPC to searchers that stop, hang or stand elsewhere."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory

import grpc
import pytest
from prometheus_client import REGISTRY

from pixvec.catalogue.feed import FeedBatch, FeedEntry
from pixvec.catalogue.topology import Replica, Routing
from pixvec.errors import DatabaseUnavailable
from pixvec.internal.v1 import searcher_service_pb2 as pb
from pixvec.internal.v1 import searcher_service_pb2_grpc
from pixvec.rpc.pusher import GrpcPusher, MemoryPusher


class Follower(searcher_service_pb2_grpc.SearcherServiceServicer):
    """Remembers what it is pushed. While `held` it does not answer."""

    def __init__(self):
        self.received: list[tuple[int, list[int]]] = []
        self.held = threading.Event()
        self.held.set()
        self.outcome = pb.APPLY_OUTCOME_APPLIED

    def Apply(self, request, context):
        self.received.append((request.shard, [entry.seq for entry in request.entries]))
        self.held.wait(30)
        return pb.ApplyResponse(outcome=self.outcome)

    def not_served(self, request, context):
        raise NotImplementedError

    Search = GetVectors = Status = Snapshot = not_served


class Topology:
    """Says where shards are; counts how often it is asked."""

    def __init__(self, replicas):
        self.replicas = replicas
        self.error = None
        self.asked = 0

    def routing(self):
        self.asked += 1
        if self.error:
            raise self.error
        return Routing(self.asked, self.replicas)


@contextmanager
def followers(count):
    with TemporaryDirectory(prefix="pv-") as folder, ExitStack() as stack:
        found = []
        for number in range(count):
            follower, address = Follower(), f"unix:{folder}/{number}.sock"
            threads = stack.enter_context(ThreadPoolExecutor(4))
            server = grpc.server(threads)
            searcher_service_pb2_grpc.add_SearcherServiceServicer_to_server(follower, server)
            server.add_insecure_port(address)
            server.start()
            stack.callback(lambda server=server: server.stop(0).wait())
            stack.callback(follower.held.set)
            found.append((follower, Replica(f"s{number}", address, ready=True)))
        yield found


@contextmanager
def pushing(topology, **options):
    pusher = GrpcPusher(topology, **{"timeout_s": 10} | options)
    try:
        yield pusher
    finally:
        pusher.close()


def batch(shard, prev_seq, *seqs):
    entries = tuple(FeedEntry(seq, f"image{seq}", deleted=False, record=b"r") for seq in seqs)
    return FeedBatch(1, shard, "e", prev_seq, entries)


def pushed(outcome):
    return REGISTRY.get_sample_value("pixvec_pushes_total", {"outcome": outcome}) or 0


def test_the_twin_delivers_in_order():
    delivered = []
    pusher = MemoryPusher(delivered.append)
    pusher.push([batch(0, 0, 1), batch(0, 1, 2)])
    assert delivered == pusher.pushed == [batch(0, 0, 1), batch(0, 1, 2)]
    pusher.close()


def test_every_replica_of_a_shard_is_told():
    with followers(2) as ((first, here), (second, there)):
        topology = Topology({(1, 0): (here, there), (1, 1): (there,)})
        with pushing(topology) as pusher:
            pusher.push([batch(0, 0, 1, 2), batch(1, 0, 1)])
        assert first.received == [(0, [1, 2])]
        assert sorted(second.received) == [(0, [1, 2]), (1, [1])]


def test_batches_of_one_shard_arrive_in_order():
    with followers(1) as ((follower, here),), pushing(Topology({(1, 0): (here,)})) as pusher:
        pusher.push([batch(0, 0, 1), batch(0, 1, 2), batch(0, 9, 10), batch(0, 10, 11)])
        assert follower.received == [(0, [1, 2]), (0, [10, 11])]


def test_the_routing_is_remembered_for_a_while():
    now = [0.0]
    with followers(1) as ((_, here),):
        topology = Topology({(1, 0): (here,)})
        with pushing(topology, refresh_s=1.0, clock=lambda: now[0]) as pusher:
            for now[0] in (0.0, 0.5, 0.9, 1.1, 1.5):
                pusher.push([batch(0, 0, 1)])
        assert topology.asked == 2


def test_a_searcher_that_is_gone_fails_nothing_and_the_routing_is_read_again():
    with followers(1) as ((follower, here),):
        gone = Replica("gone", here.address + ".gone", ready=True)
        topology = Topology({(1, 0): (gone, here)})
        before = pushed("failed")
        with pushing(topology, refresh_s=3600) as pusher:
            pusher.push([batch(0, 0, 1)])
            assert follower.received == [(0, [1])]
            assert pushed("failed") == before + 1
            topology.replicas = {(1, 0): (here,)}
            pusher.push([batch(0, 1, 2)])
        assert topology.asked == 2
        assert follower.received == [(0, [1]), (0, [2])]


def test_a_searcher_that_hangs_is_passed_over_for_a_while():
    now = [0.0]
    with followers(2) as ((hung, here), (well, there)):
        hung.held.clear()
        topology = Topology({(1, 0): (here, there)})
        with pushing(topology, timeout_s=0.2, pause_s=2.0, clock=lambda: now[0]) as pusher:
            pusher.push([batch(0, 0, 1)])
            pusher.push([batch(0, 1, 2)])
            assert len(hung.received) == 1
            assert len(well.received) == 2
            hung.held.set()
            now[0] = 2.5
            pusher.push([batch(0, 2, 3)])
            assert len(hung.received) == 2


def test_a_shard_that_nobody_holds_is_left_to_the_feed():
    before = pushed("left_to_feed")
    with pushing(Topology({})) as pusher:
        pusher.push([batch(0, 0, 1, 2)])
    assert pushed("left_to_feed") == before + 2


def test_a_follower_that_stands_elsewhere_is_counted_so():
    before = pushed("will_catch_up")
    with followers(1) as ((follower, here),), pushing(Topology({(1, 0): (here,)})) as pusher:
        follower.outcome = pb.APPLY_OUTCOME_WILL_CATCH_UP
        pusher.push([batch(0, 0, 1)])
    assert pushed("will_catch_up") == before + 1


def test_connections_to_searchers_that_are_gone_are_let_go_of():
    now = [0.0]
    with followers(2) as ((first, here), (_, there)):
        topology = Topology({(1, 0): (here,), (1, 1): (there,)})
        with pushing(topology, refresh_s=1.0, clock=lambda: now[0]) as pusher:
            pusher.push([batch(0, 0, 1), batch(1, 0, 1)])
            left = pusher._channels.get(there.address)
            topology.replicas = {(1, 0): (here,)}
            for now[0] in (2.0, 4.0):
                pusher.push([batch(0, 1, 2)])
            with pytest.raises(ValueError, match="closed"):
                left.unary_unary("/any/Method")(b"", timeout=1)
            assert pusher._channels.get(there.address) is not left
        assert len(first.received) == 3


@pytest.mark.parametrize("known", [True, False])
def test_a_database_that_is_down_fails_nothing(known):
    now = [0.0]
    with followers(1) as ((follower, here),):
        topology = Topology({(1, 0): (here,)})
        with pushing(topology, clock=lambda: now[0]) as pusher:
            if known:
                pusher.push([batch(0, 0, 1)])
            topology.error = DatabaseUnavailable("down")
            now[0] = 60
            pusher.push([batch(0, 1, 2)])
        assert len(follower.received) == (2 if known else 0)


def test_threads_may_push_together():
    with followers(1) as ((follower, here),), pushing(Topology({(1, shard): (here,) for shard in range(8)})) as pusher:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda shard: pusher.push([batch(shard, 0, 1)]), range(8)))
        assert sorted(follower.received) == [(shard, [1]) for shard in range(8)]
