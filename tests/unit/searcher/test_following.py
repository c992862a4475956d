"""What the follower, the catch-up and the snapshots do together."""

import asyncio
import shutil
from pathlib import Path

import numpy as np
import pytest

from pixvec.domain import Metric, Space
from pixvec.errors import DatabaseUnavailable
from pixvec.index.manifest import MANIFEST
from pixvec.internal.v1 import searcher_service_pb2 as pb
from pixvec.rpc.records import encode_record
from pixvec.telemetry.metrics import RECORDS_SKIPPED
from tests.in_loop import in_loop
from tests.unit.searcher.searching import SPACE, Bench, Context, Database, dropped, found, names, packed, vector


def damage_vectors(folder: Path) -> None:
    for path in folder.glob("*/snapshot-*/vectors-0.f32"):
        path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\0")


def count_snapshots(folder: Path) -> int:
    return len(list(folder.glob(f"*/*/{MANIFEST}")))


@in_loop
async def test_holds_what_is_assigned_and_reads_it_page_by_page(tmp_path: Path) -> None:
    with Bench(tmp_path, page_rows=7) as bench:
        collection = bench.collection(shards=2)
        bench.index(collection, *range(50))
        held = [await bench.ready(collection, shard) for shard in range(2)]
        assert found(held[0]) | found(held[1]) == names(*range(50))
        assert not found(held[0]) & found(held[1])
        assert len(bench.database.pages) > 6


@in_loop
async def test_a_new_collection_is_ready_at_once_and_the_catalogue_knows(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        running = asyncio.create_task(bench.follower.run())
        while not bench.database.told or not any(report.ready for report in bench.database.told[-1]):
            await bench.follower.polled()
        assert bench.catalogue.topology.routing().replicas[collection.collection_id, 0][0].ready
        running.cancel()


@in_loop
async def test_follows_updates_and_deletes(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        bench.index(collection, 1, 2, 3)
        held = await bench.ready(collection)
        bench.index(collection, 2, 4)
        bench.delete(collection, 1)
        await bench.ready(collection)
        assert found(held) == names(2, 3, 4)
        assert held.index.image_count == 3


@in_loop
async def test_starts_from_the_snapshot_and_reads_only_what_came_after(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        bench.index(collection, *range(20))
        await bench.ready(collection)
        await bench.snapshots.write_changed()
        bench.delete(collection, 3)
        bench.start()
        bench.database.pages.clear()
        held = await bench.ready(collection)
        assert found(held) == names(*range(20)) - names(3)
        assert bench.database.pages == [20]
        assert held.report.snapshot_seq == 20


@in_loop
async def test_starts_from_the_feed_when_no_snapshot_is_whole(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        bench.index(collection, *range(20))
        await bench.ready(collection)
        await bench.snapshots.write_changed()
        damage_vectors(tmp_path)
        bench.start()
        bench.database.pages.clear()
        held = await bench.ready(collection)
        assert found(held) == names(*range(20))
        assert bench.database.pages[0] == 0
        assert held.report.snapshot_seq == 0


@in_loop
async def test_a_snapshot_below_the_tombstone_floor_would_bring_back_the_dead(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        bench.index(collection, 1, 2, 3)
        await bench.ready(collection)
        await bench.snapshots.write_changed()
        kept = tmp_path / "kept"
        shutil.copytree(tmp_path / f"{collection.collection_id}-0", kept)
        bench.delete(collection, 2)
        await bench.ready(collection)
        await bench.snapshots.write_changed()
        await bench.follower.poll()
        assert bench.catalogue.feed_reader.prune_tombstones(100) == 1
        shutil.rmtree(tmp_path / f"{collection.collection_id}-0")
        shutil.copytree(kept, tmp_path / f"{collection.collection_id}-0")
        bench.start()
        assert found(await bench.ready(collection)) == names(1, 3)


@in_loop
async def test_tombstones_pruned_past_a_follower_make_it_start_over(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        bench.index(collection, 1, 2, 3)
        held = await bench.ready(collection)
        bench.delete(collection, 2)
        bench.index(collection, 4)
        bench.database.floor = 4
        await bench.follower.poll()
        await dropped(held)
        again = await bench.ready(collection)
        assert again is not held
        assert found(again) == names(1, 3, 4)


@in_loop
async def test_a_floor_above_the_first_pages_of_a_new_follower_does_not_stop_it(tmp_path: Path) -> None:
    with Bench(tmp_path, page_rows=2) as bench:
        collection = bench.collection()
        bench.index(collection, *range(10))
        bench.database.floor = 8
        held = await bench.ready(collection)
        assert found(held) == names(*range(10))
        assert bench.database.pages.count(0) == 1


@in_loop
async def test_a_renewed_epoch_discards_everything(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        bench.index(collection, 1, 2)
        held = await bench.ready(collection)
        await bench.snapshots.write_changed()
        bench.database.epoch = "renewed"
        again = await bench.ready(collection)
        assert held.dropped
        assert not held.ready
        assert (again.epoch, again.snapshot_seq, found(again)) == ("renewed", 0, names(1, 2))


@in_loop
async def test_a_shard_that_is_held_anew_answers_what_it_holds_now(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        bench.index(collection, 1, 2)
        await bench.ready(collection)

        async def answered() -> set[str]:
            request = pb.SearchRequest(
                collection_id=collection.collection_id,
                shards=[0],
                space="image",
                vectors=vector(0).tobytes(),
                dim=SPACE.dim,
                k=10,
            )
            response = await bench.service.Search(request, Context())
            return set(response.rows[0].image_ids)

        assert await answered() == names(1, 2)
        bench.delete(collection, 1)
        bench.index(collection, 3)
        bench.database.epoch = "renewed"
        await bench.follower.poll()
        await bench.ready(collection)
        assert await answered() == names(2, 3)


@in_loop
async def test_an_epoch_renewed_between_poll_and_page_is_noticed(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        bench.index(collection, 1)
        held = await bench.ready(collection)
        bench.index(collection, 2)
        bench.database.epoch = "renewed"
        bench.follower.catch_up(held)
        await dropped(held)
        assert found(await bench.ready(collection)) == names(1, 2)


@in_loop
async def test_a_feed_that_lost_its_end_is_read_anew(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        bench.index(collection, 1, 2)
        held = await bench.ready(collection)
        await bench.snapshots.write_changed()
        bench.database.lost_rows = 1
        await bench.follower.poll()
        assert held.dropped
        assert bench.held(collection) is not held


@in_loop
async def test_a_shard_taken_away_is_dropped_with_its_files(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        bench.index(collection, 1)
        held = await bench.ready(collection)
        await bench.snapshots.write_changed()
        assert (tmp_path / f"{collection.collection_id}-0").exists()
        bench.catalogue.collections.delete("photos")
        bench.catalogue.collections.purge(100)
        await bench.follower.poll()
        assert held.dropped
        assert list(bench.host) == []
        await bench.snapshots.write_changed()
        await bench.disk_done()
        assert not (tmp_path / f"{collection.collection_id}-0").exists()


@in_loop
async def test_the_first_poll_tidies_the_folder(tmp_path: Path) -> None:
    (tmp_path / "99-0").mkdir()
    (tmp_path / "mine").mkdir()
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        unfinished = tmp_path / f"{collection.collection_id}-0" / "snapshot-x"
        unfinished.mkdir(parents=True)
        await bench.ready(collection)
        await bench.disk_done()
    assert not (tmp_path / "99-0").exists()
    assert not unfinished.exists()
    assert (tmp_path / "mine").exists()


@in_loop
async def test_only_what_changed_is_written(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        bench.collection("empty")
        bench.index(collection, 1)
        await bench.ready(collection)
        await bench.snapshots.write_changed()
        await bench.snapshots.write_changed()
        assert count_snapshots(tmp_path) == 1


@in_loop
async def test_a_disk_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with Bench(folder) as bench:
        collection = bench.collection()
        bench.index(collection, 1)
        held = await bench.ready(collection)
        folder.write_text("in the way")
        await bench.snapshots.write_changed()
        assert (held.snapshot_seq, found(held)) == (0, names(1))
        folder.unlink()
        await bench.snapshots.write_changed()
        assert held.snapshot_seq == 1


@in_loop
async def test_goes_on_through_an_outage(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        bench.index(collection, 1)
        held = await bench.ready(collection)
        bench.index(collection, 2)
        bench.database.is_down = True
        with pytest.raises(DatabaseUnavailable):
            await bench.follower.poll()
        assert (held.ready, found(held)) == (True, names(1))
        bench.database.is_down = False
        await bench.ready(collection)
        assert found(held) == names(1, 2)


@in_loop
async def test_a_catch_up_cut_off_by_an_outage_goes_on_where_it_was(tmp_path: Path) -> None:
    class Flaky(Database):
        def read(self, collection_id: int, shard: int, after_seq: int, limit: int) -> object:  # type: ignore[override]
            if after_seq == 4 and self.pages.count(4) == 0:
                self.pages.append(after_seq)
                raise DatabaseUnavailable("cut off")
            return super().read(collection_id, shard, after_seq, limit)

    with Bench(tmp_path, page_rows=2) as bench:
        bench.database = Flaky(bench.catalogue.topology, bench.catalogue.feed_reader)
        bench.start()
        collection = bench.collection()
        bench.index(collection, *range(8))
        await bench.follower.poll()
        held = bench.held(collection)
        while held.applied_seq < 4:
            await held.changed()
        while not held.ready:
            await bench.follower.poll()
            await asyncio.sleep(0)
        assert found(held) == names(*range(8))
        assert bench.database.pages == [0, 2, 4, 4, 6, 8][: len(bench.database.pages)]


@in_loop
async def test_polled_waits_for_a_poll_that_began_later(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        early = asyncio.create_task(bench.follower.poll())
        await asyncio.sleep(0)
        waiting = asyncio.create_task(bench.follower.polled())
        await asyncio.sleep(0)
        await early
        await asyncio.sleep(0)
        assert not waiting.done()
        bench.database.is_down = True
        with pytest.raises(DatabaseUnavailable):
            await bench.follower.poll()
        await asyncio.sleep(0)
        assert not waiting.done()
        bench.database.is_down = False
        await bench.follower.poll()
        await waiting


@in_loop
async def test_tells_when_something_changed_or_the_lease_needs_it(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        bench.collection()
        await bench.follower.poll()
        while not next(iter(bench.host)).ready:
            await next(iter(bench.host)).changed()
        await bench.follower.poll()
        told = len(bench.database.told)
        await bench.follower.poll()
        assert len(bench.database.told) == told
        bench.time += 10
        await bench.follower.poll()
        assert len(bench.database.told) == told + 1


_OTHER_MODEL = Space("image", "hog-color", 4, Metric.COSINE, "ff" * 32)
_OTHER_SPACE = Space("colour", "hog-color", 4, Metric.COSINE, "ab" * 32)
_WIDER = Space("image", "hog-color", 5, Metric.COSINE, "ab" * 32)
# No worker of ours would pack a vector of zeros for cosine.
_UNCHECKED = Space("image", "hog-color", 4, Metric.EUCLIDEAN, "ab" * 32)


@pytest.mark.parametrize(
    "record",
    [
        b"\xff\xff",
        packed(2, _OTHER_MODEL),
        packed(2, _OTHER_SPACE),
        encode_record({"image": (_WIDER, np.ones(5))}, {}),
        encode_record({"image": (_UNCHECKED, np.zeros(4))}, {}),
    ],
    ids=["no record", "other digest", "other space", "other dimension", "length zero"],
)
@in_loop
async def test_a_record_no_index_can_take_costs_its_own_image_only(tmp_path: Path, record: bytes) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        bench.index(collection, 1, 2)
        held = await bench.ready(collection)
        bench.index(collection, 2, record=record)
        bench.index(collection, 3)
        before = skipped()
        await bench.ready(collection)
        assert found(held) == names(1, 3)
        assert skipped() == before + 1


def skipped() -> float:
    (metric,) = RECORDS_SKIPPED.collect()
    return sum(sample.value for sample in metric.samples if sample.name.endswith("_total"))
