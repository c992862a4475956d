"""Builds in the background: when, what of a failure, and what becomes of writes meanwhile."""

import asyncio
import errno
from dataclasses import replace
from pathlib import Path

import pytest

from pixvec.rpc.records import encode_record
from pixvec.telemetry.metrics import SHARD_SEGMENTS
from services.searcher import compaction as module
from services.searcher.compaction import IDLE_S, RETRY_S
from tests.in_loop import in_loop
from tests.unit.searcher.compacting import (
    GRAPH,
    NO_ROOM,
    Maker,
    compacting,
    failures,
    folders,
    segments,
)
from tests.unit.searcher.searching import Bench, found, names, vector


@in_loop
async def test_what_has_grown_is_sealed_and_kept_over_a_restart(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench, compacting(bench) as compaction:
        collection = bench.collection(spaces=[GRAPH])
        bench.index(collection, *range(19))
        held = await bench.ready(collection)
        assert await compaction.build_next(held) is False
        bench.index(collection, *range(19, 30))
        await bench.ready(collection)
        assert await compaction.build_next(held) is True
        assert (segments(held), found(held)) == ([30], names(*range(30)))
        assert held.index.growing_bytes == 0
        assert await compaction.build_next(held) is False
        bench.start()
        again = await bench.ready(collection)
        assert (segments(again), found(again)) == ([30], names(*range(30)))


@in_loop
async def test_a_little_is_sealed_when_nothing_has_moved_for_a_while(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench, compacting(bench) as compaction:
        collection = bench.collection(spaces=[GRAPH])
        bench.index(collection, *range(6))
        held = await bench.ready(collection)
        assert await compaction.build_next(held) is False
        bench.time += IDLE_S - 1
        assert await compaction.build_next(held) is False
        bench.delete(collection, 0)
        await bench.ready(collection)
        bench.time += 1
        assert await compaction.build_next(held) is False
        bench.time += IDLE_S
        assert await compaction.build_next(held) is True
        assert segments(held) == [5]
        bench.index(collection, *range(10, 14))
        await bench.ready(collection)
        bench.time += 2 * IDLE_S
        assert [await compaction.build_next(held) for _ in range(3)] == [False, False, False]


@pytest.mark.parametrize("error", [NO_ROOM, MemoryError(), RuntimeError("Error in faiss")], ids=lambda each: repr(each))
@in_loop
async def test_a_build_that_fails_is_counted_and_the_next_one_works(tmp_path: Path, error: Exception) -> None:
    make = Maker(failures=2, error=error)
    with Bench(tmp_path) as bench, compacting(bench, make) as compaction:
        collection = bench.collection(spaces=[GRAPH])
        bench.index(collection, *range(30))
        held = await bench.ready(collection)
        before = failures()
        for count in (1, 2):
            assert await compaction.build_next(held) is None
            assert failures() == before + count
            assert (segments(held), folders(bench, "segment")) == ([], 0)
            assert await compaction.build_next(held) is False
            bench.time += RETRY_S
            bench.index(collection, 100 + count)
            bench.delete(collection, count)
            await bench.ready(collection)
        expected = names(0, *range(3, 30), 101, 102)
        assert found(held) == expected
        assert await compaction.build_next(held) is True
        assert (segments(held), found(held), failures()) == ([30], expected, before + 2)
        assert make.urgent == [False] * 3


@in_loop
async def test_a_space_that_fails_keeps_no_other_waiting(tmp_path: Path) -> None:
    make = Maker(failures=1)
    with Bench(tmp_path) as bench, compacting(bench, make) as compaction:
        collection = bench.collection(spaces=[GRAPH, replace(GRAPH, name="shape")])
        record = encode_record({space.name: (space, vector(0)) for space in collection.spaces}, {})
        bench.index(collection, *range(30), record=record)
        held = await bench.ready(collection)

        def sealed() -> dict[str, int]:
            return {name: len(view.sealed) for name, view in held.index.view.spaces.items()}

        assert [await compaction.build_next(held) for _ in range(3)] == [None, True, False]
        assert sealed() == {"image": 0, "shape": 1}
        bench.time += RETRY_S
        assert [await compaction.build_next(held) for _ in range(2)] == [True, False]
        assert sealed() == {"image": 1, "shape": 1}


@in_loop
async def test_what_failed_with_sealed_segments_is_tried_without_them(tmp_path: Path) -> None:
    """One of which may be what fails: however large it is, what grows is sealed."""
    make = Maker()
    with Bench(tmp_path) as bench, compacting(bench, make) as compaction:
        collection = bench.collection(spaces=[GRAPH])
        for numbers in (range(20), range(20, 50)):
            bench.index(collection, *numbers)
            held = await bench.ready(collection)
            make.failures = 2 if make.calls else 0
            await compaction.build_next(held)
        assert segments(held) == [20]
        bench.time += RETRY_S
        assert await compaction.build_next(held) is True
        assert segments(held) == [20, 30]


class OutsideTheLoop:
    """In the place of a lock that a batch may hold for long: the event loop must not wait for it."""

    def __enter__(self) -> None:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()

    def __exit__(self, *_: object) -> None:
        pass


@in_loop
async def test_the_event_loop_waits_for_no_batch(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench, compacting(bench) as compaction:
        collection = bench.collection(spaces=[GRAPH])
        bench.index(collection, *range(30))
        held = await bench.ready(collection)
        held.index._lock = OutsideTheLoop()
        await bench.follower.poll()
        assert await compaction.build_next(held) is True


@in_loop
async def test_trying_again_is_left_to_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One shard that fails does not keep the others from being built."""
    monkeypatch.setattr(module, "RETRY_S", 0)
    make = Maker(failures=3)
    with Bench(tmp_path) as bench, compacting(bench, make) as compaction:
        collections = [bench.collection(name, spaces=[GRAPH]) for name in ("cats", "dogs")]
        held = []
        for collection in collections:
            bench.index(collection, *range(25))
            held.append(await bench.ready(collection))
        running = asyncio.create_task(compaction.run(0))
        while [segments(each) for each in held] != [[25], [25]]:  # noqa: ASYNC110 - builds end in a thread
            await asyncio.sleep(0)
        running.cancel()
        assert make.calls == 5


@in_loop
async def test_a_snapshot_that_fails_after_a_build_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Bench(tmp_path) as bench, compacting(bench) as compaction:
        collection = bench.collection(spaces=[GRAPH])
        bench.index(collection, *range(30))
        held = await bench.ready(collection)
        await bench.snapshots.write_changed()
        with monkeypatch.context() as patched:
            patched.setattr("pixvec.index.snapshot.write_manifest", full)
            assert await compaction.build_next(held) is True
        assert (segments(held), found(held)) == ([30], names(*range(30)))
        # Nothing has been written to the shard since the snapshot that is there: what is new is the segment.
        await bench.snapshots.write_changed()
        written = folders(bench, "snapshot")
        await bench.snapshots.write_changed()
        assert folders(bench, "snapshot") == written
        bench.start()
        assert segments(await bench.ready(collection)) == [30]


@in_loop
async def test_writes_go_on_beside_a_build(tmp_path: Path) -> None:
    make = Maker(waits=True)
    with Bench(tmp_path) as bench, compacting(bench, make) as compaction:
        collection = bench.collection(spaces=[GRAPH])
        bench.index(collection, *range(30))
        held = await bench.ready(collection)
        building = asyncio.create_task(compaction.build_next(held))
        await asyncio.to_thread(make.begun.wait, 30)
        bench.delete(collection, 3, 4)
        bench.index(collection, 5, 30)
        await bench.ready(collection)
        await bench.snapshots.write_changed()
        assert found(held) == names(*range(31)) - names(3, 4)
        make.let_go.set()
        assert await building is True
        assert (segments(held), found(held)) == ([30], names(*range(31)) - names(3, 4))
        assert held.index.image_count == 29
        bench.start()
        assert found(await bench.ready(collection)) == names(*range(31)) - names(3, 4)


@in_loop
async def test_a_shard_that_is_not_loaded_or_dropped_is_left_alone(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench, compacting(bench) as compaction:
        collection = bench.collection(spaces=[GRAPH])
        bench.index(collection, *range(30))
        held = await bench.ready(collection)
        held.loaded = False
        assert await compaction.build_next(held) is False
        held.loaded = True
        bench.host.drop(held, "not assigned")
        assert await compaction.build_next(held) is False


@pytest.mark.parametrize("removed_first", [True, False], ids=["removed under it", "removed later"])
@in_loop
async def test_the_build_of_a_dropped_shard_leaves_nothing(tmp_path: Path, removed_first: bool) -> None:
    make = Maker(waits=True)
    with Bench(tmp_path) as bench, compacting(bench, make) as compaction:
        collection = bench.collection(spaces=[GRAPH])
        bench.index(collection, *range(30))
        held = await bench.ready(collection)
        before = failures()
        building = asyncio.create_task(compaction.build_next(held))
        await asyncio.to_thread(make.begun.wait, 30)
        bench.host.drop(held, "not assigned")
        if removed_first:
            bench.snapshots.forget(held)
            await bench.disk_done()
        make.let_go.set()
        assert await building is False
        assert (failures(), folders(bench, "segment"), folders(bench, "snapshot")) == (before, 0, 0)


@in_loop
async def test_segments_are_counted_until_the_shard_is_dropped(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench, compacting(bench) as compaction:
        collection = bench.collection("counted", spaces=[GRAPH])
        bench.index(collection, *range(30))
        held = await bench.ready(collection)
        assert await compaction.build_next(held) is True
        await bench.follower.poll()
        assert SHARD_SEGMENTS.labels("counted", "0")._value.get() == 1
        bench.host.drop(held, "not assigned")
        assert ("counted", "0") not in SHARD_SEGMENTS._metrics
