import math

from pixvec.catalogue.topology import ShardReport
from pixvec.domain import Collection
from tests.contract.catalogues import SPACE, Bench, item


def beat(bench: Bench, searcher_id: str, *ready: tuple[Collection, int], address: str = "") -> None:
    reports = [ShardReport(collection.collection_id, shard, True, 0) for collection, shard in ready]
    bench.catalogue.topology.heartbeat(searcher_id, address or f"{searcher_id}:1", reports, lease_s=60.0)


def routed(bench: Bench, collection: Collection, *, ready_only: bool = False) -> dict[int, set[str]]:
    routing = bench.catalogue.topology.routing()
    return {
        shard: {replica.searcher_id for replica in replicas if replica.ready or not ready_only}
        for (collection_id, shard), replicas in routing.replicas.items()
        if collection_id == collection.collection_id
    }


def test_a_new_collection_is_placed_at_once_on_live_searchers(bench: Bench) -> None:
    beat(bench, "a")
    beat(bench, "b")
    photos = bench.catalogue.collections.create("photos", [SPACE], 8, replicas=2)
    assert routed(bench, photos) == {shard: {"a", "b"} for shard in range(8)}
    assert not bench.catalogue.topology.rebalance(2)
    [first, *_] = bench.catalogue.topology.assignments("a")
    assert (first.collection, first.shard, first.head_seq) == (photos, 0, 0)


def test_assignments_tell_the_head(bench: Bench) -> None:
    beat(bench, "a")
    photos = bench.collection()
    [batch] = bench.index(photos, item(0), item(1))
    [assignment] = bench.catalogue.topology.assignments("a")
    assert (assignment.epoch, assignment.head_seq, assignment.tombstone_floor) == (batch.epoch, 2, 0)
    assert bench.catalogue.topology.assignments("nobody") == []


def test_without_searchers_nothing_is_placed_and_later_everything_is(bench: Bench) -> None:
    photos = bench.collection(shards=4)
    assert not bench.catalogue.topology.rebalance(1)
    assert bench.catalogue.topology.routing().replicas == {}
    beat(bench, "a")
    assert bench.catalogue.topology.rebalance(1)
    assert routed(bench, photos) == {shard: {"a"} for shard in range(4)}


def test_a_holder_serves_until_its_successor_is_ready(bench: Bench) -> None:
    beat(bench, "a")
    photos = bench.collection(shards=16)
    everything = [(photos, shard) for shard in range(16)]
    beat(bench, "a", *everything)
    beat(bench, "b")
    assert bench.catalogue.topology.rebalance(1)
    moving = [shard for shard, holders in routed(bench, photos).items() if "b" in holders]
    assert 0 < len(moving) < 16
    assert routed(bench, photos, ready_only=True) == {shard: {"a"} for shard in range(16)}
    assert not bench.catalogue.topology.rebalance(1)
    beat(bench, "b", *((photos, shard) for shard in moving))
    assert bench.catalogue.topology.rebalance(1)
    assert routed(bench, photos) == {shard: {"b" if shard in moving else "a"} for shard in range(16)}


def test_a_searcher_past_its_lease_is_left_out_and_replaced(bench: Bench) -> None:
    beat(bench, "a")
    photos = bench.collection(shards=2)
    beat(bench, "a", (photos, 0), (photos, 1))
    bench.expire_leases()
    assert bench.catalogue.topology.routing().replicas == {}
    assert not bench.catalogue.topology.rebalance(1)
    assert len(bench.catalogue.topology.assignments("a")) == 2
    beat(bench, "b")
    assert bench.catalogue.topology.rebalance(1)
    assert routed(bench, photos) == {0: {"b"}, 1: {"b"}}
    assert bench.catalogue.topology.assignments("a") == []


def test_after_an_outage_the_first_searcher_to_speak_does_not_get_everything(bench: Bench) -> None:
    topology = bench.catalogue.topology
    beat(bench, "a")
    beat(bench, "b")
    photos = bench.collection(shards=16)
    before = routed(bench, photos)
    bench.expire_leases()
    beat(bench, "a")
    assert not topology.rebalance(1, grace_s=7200.0)
    assert not topology.rebalance(1, grace_s=math.inf)
    beat(bench, "b")
    assert not topology.rebalance(1, grace_s=7200.0)
    assert routed(bench, photos) == before
    bench.expire_leases()
    beat(bench, "a")
    assert topology.rebalance(1, grace_s=0.5)
    assert topology.assignments("b") == []


def test_a_restarted_searcher_is_not_ready_until_it_says_so(bench: Bench) -> None:
    beat(bench, "a")
    photos = bench.collection(shards=2)
    beat(bench, "a", (photos, 0), (photos, 1))
    assert routed(bench, photos, ready_only=True) == {0: {"a"}, 1: {"a"}}
    beat(bench, "a", (photos, 1))
    assert routed(bench, photos, ready_only=True) == {0: set(), 1: {"a"}}


def test_the_version_changes_with_the_routing_and_only_then(bench: Bench) -> None:
    version = bench.catalogue.topology.routing().version

    def changed() -> bool:
        nonlocal version
        before, version = version, bench.catalogue.topology.routing().version
        return version != before

    beat(bench, "a")
    assert changed()
    photos = bench.collection()
    assert changed()
    beat(bench, "a", (photos, 0))
    assert changed()
    beat(bench, "a", (photos, 0))
    bench.catalogue.topology.rebalance(1)
    assert not changed()
    beat(bench, "a", (photos, 0), address="elsewhere:1")
    assert changed()
    [[replica]] = bench.catalogue.topology.routing().replicas.values()
    assert replica.address == "elsewhere:1"
    bench.catalogue.collections.delete("photos")
    assert changed()
    assert bench.catalogue.topology.routing().replicas == {}
    assert bench.catalogue.topology.assignments("a") == []


def test_shards_tell_where_their_feeds_stand_and_who_holds_them(bench: Bench) -> None:
    beat(bench, "b")
    beat(bench, "a")
    photos = bench.catalogue.collections.create("photos", [SPACE], 2, replicas=2)
    bench.catalogue.collections.create("more", [SPACE], 1, replicas=1)
    bench.index(photos, *(item(n) for n in range(9)))
    bench.catalogue.feed_writer.delete(photos.collection_id, ["image-0"])
    beat(bench, "b", (photos, 1))
    standings = bench.catalogue.topology.shards()
    assert [(each.collection, each.shard) for each in standings] == [("more", 0), ("photos", 0), ("photos", 1)]
    shards = bench.catalogue.topology.shards(photos.collection_id)
    assert shards == standings[1:]
    assert sum(each.head_seq for each in shards) == 10
    assert sum(each.image_count for each in shards) == 8
    assert [[(held.searcher_id, held.ready) for held in each.holders] for each in shards] == [
        [("a", False), ("b", False)],
        [("a", False), ("b", True)],
    ]
    page = bench.catalogue.feed_reader.read(photos.collection_id, 1, 0, 1)
    assert (shards[1].epoch, shards[1].head_seq, shards[1].truncated_seq) == (page.epoch, page.head_seq, 0)
    bench.catalogue.collections.delete("photos")
    assert [each.collection for each in bench.catalogue.topology.shards()] == ["more"]


def test_searchers_are_known_while_they_live_or_are_to_hold_something(bench: Bench) -> None:
    beat(bench, "a", address="here:1")
    bench.collection()
    beat(bench, "b")
    known = bench.catalogue.topology.searchers()
    assert [(each.searcher_id, each.address, each.is_live) for each in known] == [
        ("a", "here:1", True),
        ("b", "b:1", True),
    ]
    bench.expire_leases()
    known = bench.catalogue.topology.searchers()
    assert [(each.searcher_id, each.is_live) for each in known] == [("a", False)]
