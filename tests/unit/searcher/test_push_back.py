"""What becomes of writes while more has grown than builds have sealed."""

import asyncio
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pixvec.catalogue.feed import FeedPage
from pixvec.domain import IndexKind, IndexStanding
from pixvec.errors import Overloaded
from pixvec.internal.v1 import searcher_service_pb2 as pb
from pixvec.rpc.index_settings import standing_from_wire
from pixvec.rpc.pusher import to_apply_request
from pixvec.telemetry.metrics import WRITES_PUSHED_BACK
from services.searcher import compaction as compaction_module
from services.searcher.builder_process import BuildHurried
from services.searcher.compaction import BEHIND_SEALS, IDLE_S, RETRY_S
from services.searcher.shard_host import ShardHost
from tests.in_loop import in_loop
from tests.unit.searcher import searching
from tests.unit.searcher.compacting import (
    GRAPH,
    POLICY,
    ROW_BYTES,
    Maker,
    compacting,
    failures,
    segments,
)
from tests.unit.searcher.searching import Bench, Context, a_turn, found, names


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Growing rows are full with more than ten."""
    monkeypatch.setattr(searching, "ShardHost", partial(ShardHost, max_growing_bytes=10 * ROW_BYTES))


@in_loop
async def test_pushes_are_refused_while_growing_rows_are_full(tmp_path: Path, little_room: None) -> None:
    make = Maker()
    with Bench(tmp_path) as bench, compacting(bench, make) as compaction:
        collection = bench.collection(spaces=[GRAPH])
        held = await bench.ready(collection)
        (first,) = bench.index(collection, *range(11))
        (second,) = bench.index(collection, 11)
        response = await bench.service.Apply(to_apply_request(first), Context())
        assert response.outcome == pb.APPLY_OUTCOME_APPLIED
        before = WRITES_PUSHED_BACK._value.get()
        with pytest.raises(Overloaded, match="takes no writes until its growing rows are sealed") as caught:
            await bench.service.Apply(to_apply_request(second), Context())
        assert (caught.value.reason, caught.value.retry_after_s) == ("OVERLOADED", 1.0)
        assert WRITES_PUSHED_BACK._value.get() == before + 1
        # Nor is the feed read any further, and searches go on.
        await bench.follower.poll()
        await bench.caught_up()
        assert (held.applied_seq, found(held)) == (11, names(*range(11)))
        # Fewer than are worth a segment otherwise, and no time has passed.
        assert await compaction.build_next(held) is True
        assert make.urgent == [True]
        assert not held.is_full
        response = await bench.service.Apply(to_apply_request(second), Context())
        assert response.outcome == pb.APPLY_OUTCOME_APPLIED
        assert found(held) == names(*range(12))


@in_loop
async def test_a_build_under_way_is_hurried_for_whichever_shard_is_full(
    tmp_path: Path, little_room: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction_module, "HURRY_INTERVAL_S", 0.01)
    make = Maker(waits=True)
    with Bench(tmp_path) as bench, compacting(bench, make) as compaction:
        building, full = (bench.collection(name, spaces=[GRAPH]) for name in ("building", "full"))
        bench.index(building, *range(8))
        held = await bench.ready(building)
        bench.time += 2 * IDLE_S
        await compaction.build_next(held)
        bench.time += 2 * IDLE_S
        build = asyncio.create_task(compaction.build_next(held))
        await asyncio.to_thread(make.begun.wait, 30)
        assert not make.hurried.is_set()
        bench.index(full, *range(11))
        await bench.ready(full)
        assert await build is True
        assert make.hurried.is_set()
        assert make.urgent == [False]


@in_loop
async def test_builds_are_urgent_once_far_more_grows_than_is_worth_a_segment(tmp_path: Path) -> None:
    """Searches compare every growing row: leaving the processor to them would slow them down."""
    make = Maker()
    with Bench(tmp_path) as bench, compacting(bench, make) as compaction:
        collection = bench.collection(spaces=[GRAPH])
        for count in (BEHIND_SEALS * POLICY.seal_rows, BEHIND_SEALS * POLICY.seal_rows + 1):
            bench.index(collection, *range(count))
            held = await bench.ready(collection)
            assert not held.is_full
            assert await compaction.build_next(held) is True
        assert make.urgent == [False, True]


@in_loop
async def test_full_shards_are_built_before_others(tmp_path: Path, little_room: None) -> None:
    make = Maker()
    with Bench(tmp_path) as bench, compacting(bench, make) as compaction:
        first, full = (bench.collection(name, spaces=[GRAPH]) for name in ("first", "full"))
        bench.index(first, *range(8))
        held = await bench.ready(first)
        bench.time += 2 * IDLE_S
        assert await compaction.build_all() is False
        bench.time += 2 * IDLE_S
        bench.index(full, *range(11))
        filled = await bench.ready(full)
        assert await compaction.build_all() is True
        assert (segments(filled), make.urgent[:1]) == ([11], [True])
        while await compaction.build_all():
            pass
        assert (segments(held), make.urgent) == ([8], [True, False])


@in_loop
async def test_a_build_that_had_to_be_ended_to_be_hurried_begins_again_at_once(
    tmp_path: Path, little_room: None
) -> None:
    make = Maker(failures=1, error=BuildHurried("again"))
    with Bench(tmp_path) as bench, compacting(bench, make) as compaction:
        collection = bench.collection(spaces=[GRAPH])
        bench.index(collection, *range(11))
        held = await bench.ready(collection)
        before = failures()
        assert await compaction.build_next(held) is True
        assert (segments(held), held.build_error, failures()) == ([], "", before)
        # There is nothing that a snapshot would keep.
        assert (held.has_unsaved_build, held.snapshot_seq) == (False, 0)
        assert await compaction.build_next(held) is True
        assert (segments(held), make.urgent) == ([11], [True, True])


@in_loop
async def test_a_push_that_waited_while_others_filled_the_shard_is_refused(tmp_path: Path, little_room: None) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection(spaces=[GRAPH])
        held = await bench.ready(collection)
        (first,) = bench.index(collection, *range(11))
        (second,) = bench.index(collection, 11)
        request = to_apply_request(replace(first, entries=[*first.entries, *second.entries]))
        let_go = threading.Event()
        bench.applying.start(let_go.wait, 30)
        push = asyncio.create_task(bench.service.Apply(request, Context()))
        await a_turn()
        assert held.advance(0, first.entries, 11)
        let_go.set()
        with pytest.raises(Overloaded, match="takes no writes"):
            await push
        assert (held.applied_seq, found(held)) == (11, names(*range(11)))


@in_loop
async def test_a_page_that_a_push_left_no_room_for_is_read_later(tmp_path: Path, little_room: None) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection(spaces=[GRAPH])
        held = await bench.ready(collection)
        (batch,) = bench.index(collection, *range(11))
        bench.index(collection, *range(11, 20))
        read = bench.database.read

        def read_late(*arguments: int) -> FeedPage:
            page = read(*arguments)
            assert held.advance(0, batch.entries, 11)
            return page

        bench.database.read = read_late
        await bench.follower.poll()
        await bench.caught_up()
        assert (held.applied_seq, found(held)) == (11, names(*range(11)))


@in_loop
async def test_of_shards_that_take_too_much_together_the_largest_waits_for_its_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "ShardHost", partial(ShardHost, max_all_growing_bytes=20 * ROW_BYTES))
    with Bench(tmp_path) as bench, compacting(bench) as compaction:
        cats, dogs = (bench.collection(name, spaces=[GRAPH]) for name in ("cats", "dogs"))
        bench.index(cats, *range(12))
        bench.index(dogs, *range(8))
        large, small = await bench.ready(cats), await bench.ready(dogs)
        assert not large.is_full
        assert not small.is_full
        bench.index(dogs, 8)
        await bench.ready(dogs)
        assert large.is_full
        assert not small.is_full
        assert await compaction.build_next(small) is False
        assert await compaction.build_next(large) is True
        assert not large.is_full


@in_loop
async def test_a_long_feed_is_read_in_turns_with_builds(tmp_path: Path, little_room: None) -> None:
    with Bench(tmp_path, page_rows=8) as bench, compacting(bench) as compaction:
        collection = bench.collection(spaces=[GRAPH])
        bench.index(collection, *range(100))
        await bench.follower.poll()
        held = bench.held(collection)
        for _ in range(20):
            await bench.caught_up()
            assert held.index.growing_bytes <= 18 * ROW_BYTES
            await compaction.build_next(held)
            await bench.follower.poll()
        assert held.ready
        assert found(held) == names(*range(100))


@in_loop
async def test_one_row_that_fills_everything_is_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "ShardHost", partial(ShardHost, max_growing_bytes=1))
    with Bench(tmp_path) as bench, compacting(bench) as compaction:
        collection = bench.collection(spaces=[GRAPH])
        for number in range(3):
            bench.index(collection, number)
            held = await bench.ready(collection)
            assert await compaction.build_next(held) is True
        assert found(held) == names(0, 1, 2)


@in_loop
async def test_how_the_index_stands_is_told(tmp_path: Path, little_room: None) -> None:
    with Bench(tmp_path) as bench, compacting(bench, Maker(failures=1)) as compaction:
        collection = bench.collection(spaces=[GRAPH])
        bench.index(collection, *range(30))
        held = await bench.ready(collection)
        assert await compaction.build_next(held) is None
        full = IndexStanding(growing_rows=30, writes_pushed_back=True, build_error="[Errno 28] No space left on device")
        assert held.standing == full
        status = await bench.service.Status(pb.StatusRequest(), Context())
        assert standing_from_wire(status.shards[0].index) == full
        bench.time += RETRY_S
        assert await compaction.build_next(held) is True
        bench.index(collection, 40)
        await bench.ready(collection)
        assert held.standing == IndexStanding(1, (IndexKind.HNSW,), growing_rows=1, sealed_rows=30)
