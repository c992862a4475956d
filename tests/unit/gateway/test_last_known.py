"""When the database comes back every lease has run out: searching goes on with those who held the shards before."""

import pytest

from pixvec.catalogue.topology import Replica, Routing
from pixvec.errors import DatabaseUnavailable, ShardUnavailable
from services.gateway.last_known import LastKnown
from services.gateway.query import Deadline, Query
from tests.in_loop import in_loop
from tests.unit.gateway.reading import ReadSide

A, B = Replica("a", "a:1", ready=True), Replica("b", "b:1", ready=True)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_only_after_an_outage_and_only_for_a_while():
    clock = Clock()
    known = LastKnown(clock)
    whole, partly = Routing(1, {(1, 0): (A,), (1, 1): (B,)}), Routing(2, {(1, 0): (A,)})
    assert known.completed(whole) == whole
    known.lost()
    assert known.completed(partly) == Routing(2, whole.replicas)
    assert known.completed(Routing(3, {})) == Routing(3, whole.replicas)
    clock.now = 29
    assert known.completed(partly) == Routing(2, whole.replicas)
    clock.now = 31
    assert known.completed(partly) == partly
    known.lost()
    assert known.completed(Routing(4, {})) == Routing(4, partly.replicas)


def test_who_speaks_for_a_shard_again_is_believed():
    known = LastKnown(Clock())
    known.completed(Routing(1, {(1, 0): (A,)}))
    known.lost()
    unready = Routing(2, {(1, 0): (Replica("a", "elsewhere:1", ready=False),)})
    assert known.completed(unready) == unready


@in_loop
async def test_queries_are_answered_before_the_searchers_have_spoken_again(monkeypatch):
    def down():
        raise DatabaseUnavailable("down")

    side = ReadSide()
    side.put("a")
    query = Query("photos", image_id="a")
    assert (await side.queries.run(query, Deadline(10))).hits
    with monkeypatch.context() as outage:
        outage.setattr(side.catalogue.topology, "routing", down)
        await side.directory.fresh_routing()
    side.catalogue.topology.heartbeat("searcher-0", "searcher-0", [], lease_s=0)
    assert (await side.directory.fresh_routing()).replicas
    assert (await side.queries.run(query, Deadline(10))).hits


@in_loop
async def test_a_searcher_that_dies_without_an_outage_is_asked_no_more():
    side = ReadSide()
    side.put("a")
    assert (await side.queries.run(Query("photos", image_id="a"), Deadline(10))).hits
    side.catalogue.topology.heartbeat("searcher-0", "searcher-0", [], lease_s=0)
    await side.directory.fresh_routing()
    with pytest.raises(ShardUnavailable, match="no searcher holds it"):
        await side.queries.run(Query("photos", image_id="a"), Deadline(1))
