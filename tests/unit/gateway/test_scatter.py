"""How long queries wait for slow searchers, and when another replica is asked beside one. In a time of its own."""

import asyncio

import pytest

from pixvec.catalogue.topology import Replica
from pixvec.domain import SearchOptions
from pixvec.errors import InvalidVector, ShardUnavailable
from pixvec.rpc.memory_embedder import vector_from_bytes
from pixvec.rpc.memory_searchers import MemorySearchers
from pixvec.rpc.shard_search import ShardSearch
from services.gateway.hedging import Hedging
from services.gateway.query import Deadline
from services.gateway.scatter import Scatter, StoredVectorsQuery
from tests.fake_time import in_fake_time
from tests.unit.gateway.reading import DIGEST, DIM, ReadSide

IDS = [f"p/{number}" for number in range(20)]
FROZEN = float("inf")
A, B = "searcher-0", "searcher-1"


def now():
    return asyncio.get_running_loop().time()


class FakeDeadline(Deadline):
    """In the loop's time."""

    def __init__(self, left_s):
        self._at = now() + left_s

    @property
    def left_s(self):
        return max(0.0, self._at - now())


class SlowSearchers(MemorySearchers):
    """Each address takes its time, gives up when it has none left, and may fail then instead."""

    def __init__(self, twin):
        super().__init__(twin.to_rows, twin.epoch, twin.shards)
        self.seconds = {}
        self.failing = {}
        self.cancelled = []

    async def _take_time(self, address, timeout_s):
        seconds = self.seconds.get(address, 0.0)
        try:
            await asyncio.sleep(min(seconds, timeout_s))
        except asyncio.CancelledError:
            self.cancelled.append(address)
            raise
        if address in self.failing:
            raise self.failing[address]
        if seconds > timeout_s:
            raise ShardUnavailable(f"the searcher at {address} did not answer in time")

    async def search(self, address, search, timeout_s):
        self.calls.append((address, search.shards))
        await self._take_time(address, timeout_s)
        self.calls.pop()
        return await super().search(address, search, timeout_s)

    async def get_vectors(self, address, wanted, timeout_s):
        await self._take_time(address, timeout_s)
        return await super().get_vectors(address, wanted, timeout_s)


class FixedDirectory:
    """Knows the routing without a thread."""

    def __init__(self, catalogue):
        self._catalogue = catalogue

    async def routing(self):
        return self._catalogue.topology.routing()

    fresh_routing = routing


class Bench:
    """Two searchers that each hold both shards of a collection (or one each: `replicas=1`)."""

    def __init__(self, replicas=2):
        self.side = ReadSide(2, searchers=2)
        self.side.put(*IDS)
        if replicas == 1:
            self.side.split()
        self.searchers = SlowSearchers(self.side.searchers)
        self.scatter = Scatter(FixedDirectory(self.side.catalogue), self.searchers, partial_after_s=2.0)

    async def search(self, *, complete=False, deadline_s=30.0):
        """Return the shards that answered, the ids found, and how long it took."""
        begun = now()
        key, vector = self.side.collection.collection_id, vector_from_bytes(b"x", DIM)
        search = ShardSearch(key, (), "image", vector, 40, bytes.fromhex(DIGEST), None, (), SearchOptions())
        gathered = await self.scatter.search(self.side.collection, search, FakeDeadline(deadline_s), complete=complete)
        ids = [hit.image_id for answer in gathered.answers for hit in answer.hits]
        return gathered.answered, sorted(ids), now() - begun

    async def learn(self, times=40):
        """Have all searchers answer for a while."""
        for _ in range(times):
            await self.search()
        self.searchers.calls.clear()


@in_fake_time
async def test_an_eventual_query_goes_without_a_frozen_searcher_two_seconds_after_the_others():
    bench = Bench(replicas=1)
    bench.searchers.seconds = {A: 0.5, B: FROZEN}
    answered, ids, seconds = await bench.search()
    assert (answered, seconds) == ({0}, pytest.approx(2.5))
    assert 0 < len(ids) < len(IDS)
    assert bench.searchers.cancelled == [B]


@in_fake_time
async def test_searchers_that_are_all_slow_are_given_their_time():
    bench = Bench(replicas=1)
    bench.searchers.seconds = {A: 9.0, B: 15.0}
    answered, ids, seconds = await bench.search()
    assert (answered, ids, seconds) == ({0, 1}, sorted(IDS), pytest.approx(15.0))


@in_fake_time
async def test_nothing_is_no_answer_however_long_it_takes():
    bench = Bench(replicas=1)
    bench.searchers.seconds = {A: FROZEN, B: FROZEN}
    with pytest.raises(ShardUnavailable):
        await bench.search(deadline_s=10)
    assert now() == pytest.approx(9.0)


@in_fake_time
async def test_a_complete_answer_is_waited_for_and_given_up_before_the_caller_does():
    bench = Bench(replicas=1)
    bench.searchers.seconds = {A: 0.0, B: FROZEN}
    with pytest.raises(ShardUnavailable, match="shard 1 of photos did not answer"):
        await bench.search(complete=True, deadline_s=10)
    assert now() == pytest.approx(9.0)


@pytest.mark.parametrize("deadline_s", [0.3, 1.0, 3.0])
@in_fake_time
async def test_a_shard_that_nobody_holds_is_said_to_be_missing_in_time(deadline_s):
    bench = Bench(replicas=1)
    bench.side.catalogue.topology.heartbeat(B, B, [], lease_s=3600)
    with pytest.raises(ShardUnavailable, match="no searcher holds it ready"):
        await bench.search(complete=True, deadline_s=deadline_s)
    assert 0.4 * deadline_s <= now() <= 0.9 * deadline_s


@in_fake_time
async def test_a_slow_searcher_is_hedged_and_its_answer_no_longer_waited_for():
    bench = Bench()
    await bench.learn()
    bench.searchers.seconds = {A: FROZEN, B: 0.001}
    slowest = 0.0
    for _ in range(10):
        answered, ids, seconds = await bench.search(complete=True)
        assert (answered, ids) == ({0, 1}, sorted(IDS))
        slowest = max(slowest, seconds)
    # One call found out, and was asked again after the usual time; the others asked who answers.
    assert slowest < 0.2
    assert [address for address, _ in bench.searchers.calls].count(A) <= 1
    assert bench.searchers.cancelled == [A]


@in_fake_time
async def test_the_first_answer_counts_whoever_gives_it():
    bench = Bench()
    await bench.learn()
    bench.searchers.seconds = {A: 0.5, B: 5.0}
    for _ in range(2):
        answered, ids, seconds = await bench.search()
        assert (answered, ids) == ({0, 1}, sorted(IDS))
        assert seconds < 1.0


@in_fake_time
async def test_a_hedge_that_fails_does_no_harm():
    bench = Bench()
    await bench.learn()
    bench.searchers.seconds = {A: 0.5, B: 0.5}
    bench.searchers.failing = {B: ShardUnavailable("down")}
    for _ in range(3):
        answered, ids, _ = await bench.search(complete=True)
        assert (answered, ids) == ({0, 1}, sorted(IDS))


@in_fake_time
async def test_what_every_replica_would_say_ends_the_race():
    bench = Bench()
    await bench.learn()
    bench.searchers.seconds = {A: 0.5, B: 0.1}
    bench.searchers.failing = {A: InvalidVector("no"), B: InvalidVector("no")}
    with pytest.raises(InvalidVector):
        await bench.search()


@in_fake_time
async def test_where_everything_is_slow_one_call_of_twenty_is_made_twice():
    bench = Bench()
    await bench.learn(20)
    bench.searchers.seconds = {A: 1.0, B: 1.0}
    usual = bench.scatter._hedging.delay_s
    await asyncio.gather(*(bench.search() for _ in range(200)))
    assert usual < 1.0
    # One call to each query, and what was saved up to then.
    assert 1 <= len(bench.searchers.cancelled) <= 11


@in_fake_time
async def test_stored_vectors_come_from_the_replica_that_answers():
    bench = Bench()
    await bench.learn()
    bench.searchers.seconds = {A: FROZEN}
    query = StoredVectorsQuery(bench.side.collection, "image", tuple(IDS), ())
    for _ in range(4):
        assert set(await bench.scatter.vectors(query, FakeDeadline(10), complete=True)) == set(IDS)
    assert now() < 1.0


@in_fake_time
async def test_of_the_shards_of_one_searcher_none_is_waited_for_after_one_failed(monkeypatch):
    bench = Bench(replicas=1)
    bench.side.report(A, [0, 1])
    bench.side.catalogue.topology.heartbeat(B, B, [], lease_s=3600)
    asked, ended = [], []

    async def get_vectors(address, wanted, timeout_s):
        asked.append(wanted.shard)
        try:
            await asyncio.sleep(1 if wanted.shard == 0 else 5)
        finally:
            ended.append((wanted.shard, now()))
        raise InvalidVector("no")

    monkeypatch.setattr(bench.searchers, "get_vectors", get_vectors)
    query = StoredVectorsQuery(bench.side.collection, "image", tuple(IDS), ())
    with pytest.raises(InvalidVector):
        await bench.scatter.vectors(query, FakeDeadline(10), complete=True)
    await asyncio.sleep(0)
    assert sorted(asked) == [0, 1]
    assert sorted(ended) == [(0, 1.0), (1, 1.0)]


def test_a_call_is_slow_that_takes_longer_than_nineteen_of_twenty():
    hedging = Hedging()
    for number in range(200):
        hedging.took(A, number / 100)
    assert hedging.delay_s == pytest.approx(1.89)
    for _ in range(200):
        hedging.took(A, 0.0)
    assert hedging.delay_s == 0.01


def test_of_a_hundred_calls_five_may_be_made_twice():
    hedging = Hedging()
    asked_twice = 0
    for _ in range(100):
        hedging.began()
        asked_twice += hedging.may_ask_twice(1)
    assert asked_twice == 5


def test_a_slow_searcher_is_avoided_for_a_moment_unless_it_answers():
    hedging = Hedging()
    both = [Replica(A, A, ready=True), Replica(B, B, ready=True)]
    hedging.was_slow(A, now=10.0)
    assert hedging.preferred(both, 11.0) == both[1:]
    assert hedging.preferred(both[:1], 11.0) == both[:1]
    assert hedging.preferred(both, 12.5) == both
    hedging.was_slow(A, now=20.0)
    hedging.took(A, 0.1)
    assert hedging.preferred(both, 20.5) == both
