"""A shard is backed up while it goes on."""

import asyncio
import threading
from pathlib import Path

import pytest

from pixvec.backups.checking import check_backup
from pixvec.catalogue.bases import BaseContent
from pixvec.domain import ShardPosition
from pixvec.errors import BackupDamaged, FailedPrecondition, ShardUnavailable, Unavailable
from pixvec.index.plan import BuildPolicy
from pixvec.index.sealing import index_in_this_process, seal
from pixvec.internal.v1 import searcher_service_pb2 as pb
from pixvec.rpc.conversions import position_to_wire
from tests.in_loop import in_loop
from tests.unit.searcher.basing import Blobs, carried, caught_up, filled, lose_disk, make
from tests.unit.searcher.searching import Bench, Context, end_of, found, names


@in_loop
async def test_a_base_is_stored_read_back_and_recorded(tmp_path: Path) -> None:
    with Bench(tmp_path, blobs=(blobs := Blobs())) as bench:
        collection, held = await filled(bench, *range(20))
        request = pb.CreateBaseRequest(collection_id=collection.collection_id, shard=0)
        response = await bench.service.CreateBase(request, Context())
        (base,) = bench.catalogue.bases.of_collection()
        assert response.base_id == base.base_id
        assert (base.seq, base.image_count, base.epoch, base.is_sound) == (20, 20, held.epoch, True)
        assert response.stored_bytes == base.size_bytes == check_backup(blobs, base).size_bytes
        assert held.snapshot_seq == 20
        await bench.disk_done()
        assert not carried(tmp_path)


@in_loop
async def test_a_sealed_segment_is_sent_once(tmp_path: Path) -> None:
    with Bench(tmp_path, blobs=(blobs := Blobs())) as bench:
        collection, held = await filled(bench, *range(60))
        build = held.index.begin_build(BuildPolicy(seal_rows=50, least_rows=10))
        assert build is not None
        held.index.finish_build(build, seal(tmp_path / f"{collection.collection_id}-0", build, index_in_this_process))
        first = await bench.base_maker.make(held.key)
        bench.index(collection, 100)
        bench.delete(collection, 3)
        await bench.ready(collection)
        second = await bench.base_maker.make(held.key)
        assert first.stored_bytes == first.base.size_bytes
        assert second.stored_bytes < second.base.size_bytes
        segments = [
            {file.name for file in check_backup(blobs, made.base).files if file.path.startswith("segment-")}
            for made in (first, second)
        ]
        assert segments[0] == segments[1] != set()
        lose_disk(bench)
        held = await bench.ready(collection)
        assert found(held) == names(*range(60), 100) - names(3)
        assert [view.row_count for view in held.index.view.spaces["image"].sealed] == [60]


@in_loop
async def test_callers_who_come_together_get_one_base_and_one_who_leaves_stops_nothing(tmp_path: Path) -> None:
    with Bench(tmp_path, blobs=(blobs := Blobs())) as bench:
        collection, _ = await filled(bench, 1, 2)
        begun, go_on = threading.Event(), threading.Event()

        def wait() -> None:
            begun.set()
            assert go_on.wait(30)

        blobs.on_write = wait
        calls = [asyncio.create_task(make(bench, collection)) for _ in range(3)]
        await asyncio.to_thread(begun.wait, 30)
        calls[0].cancel()
        go_on.set()
        first, second = await asyncio.gather(*calls[1:])
        assert first == second
        assert calls[0].cancelled()
        assert len(bench.catalogue.bases.of_collection()) == 1
        assert await make(bench, collection) != first


@in_loop
async def test_a_base_holds_at_least_what_is_told(tmp_path: Path) -> None:
    with Bench(tmp_path, blobs=(blobs := Blobs())) as bench:
        collection, held = await filled(bench, 1, 2)
        [batch] = bench.index(collection, 3)
        request = pb.CreateBaseRequest(
            collection_id=collection.collection_id, shard=0, at_least=position_to_wire(end_of(batch))
        )
        response = await bench.service.CreateBase(request, Context())
        (base,) = bench.catalogue.bases.of_collection()
        assert (base.base_id, base.seq) == (response.base_id, 3)
        begun, go_on = threading.Event(), threading.Event()

        def wait() -> None:
            begun.set()
            assert go_on.wait(30)

        blobs.on_write = wait
        early = asyncio.create_task(make(bench, collection))
        await asyncio.to_thread(begun.wait, 30)
        [batch] = bench.index(collection, 4)
        later = asyncio.create_task(bench.base_maker.make(held.key, end_of(batch)))
        await bench.ready(collection)
        go_on.set()
        assert ((await early).seq, (await later).base.seq) == (3, 4)
        with pytest.raises(ShardUnavailable, match="has applied 4, not 9"):
            await bench.base_maker.make(held.key, ShardPosition(0, held.epoch, 9), 0.01)


@in_loop
async def test_a_base_is_of_a_shard_that_is_ready_here(tmp_path: Path) -> None:
    with Bench(tmp_path, blobs=Blobs()) as bench, pytest.raises(ShardUnavailable, match="not held ready"):
        await bench.base_maker.make((4711, 0))


@in_loop
async def test_without_a_blob_store_none_is_made_and_the_feed_is_read(tmp_path: Path) -> None:
    with Bench(tmp_path, blobs=Blobs()) as bench:
        collection, _ = await filled(bench, *range(5))
        await make(bench, collection)
        bench.blobs = None
        lose_disk(bench)
        assert found(await bench.ready(collection)) == names(*range(5))
        assert bench.database.pages == [0]
        with pytest.raises(FailedPrecondition, match="PIXVEC_BLOB_URL"):
            await make(bench, collection)


@in_loop
async def test_a_base_that_cannot_be_stored_is_given_up_and_the_next_one_is_not(tmp_path: Path) -> None:
    with Bench(tmp_path, blobs=(blobs := Blobs())) as bench:
        collection, held = await filled(bench, *range(10))
        blobs.is_down = True
        with pytest.raises(Unavailable, match="no blob store"):
            await make(bench, collection)
        (given_up,) = bench.catalogue.bases.of_shard(*held.key)
        assert (given_up.damage, given_up.retired_at is None) == ("no blob store", False)
        await bench.disk_done()
        assert not carried(tmp_path)
        blobs.is_down = False
        assert (await make(bench, collection)).is_sound


@in_loop
async def test_a_searcher_whose_disk_has_rotten_makes_no_base_of_it(tmp_path: Path) -> None:
    with Bench(tmp_path, blobs=Blobs()) as bench:
        collection, held = await filled(bench, *range(60))
        build = held.index.begin_build(BuildPolicy(seal_rows=50, least_rows=10))
        assert build is not None
        segment = seal(tmp_path / f"{collection.collection_id}-0", build, index_in_this_process)
        assert segment is not None
        held.index.finish_build(build, segment)
        ids = segment.folder / "ids.bin"
        content = bytearray(ids.read_bytes())
        content[-1] ^= 1
        ids.write_bytes(content)
        with pytest.raises(BackupDamaged, match=r"ids\.bin"):
            await make(bench, collection)
        assert bench.catalogue.bases.of_collection() == []


@in_loop
async def test_a_disk_that_is_full_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with Bench(folder, blobs=Blobs()) as bench:
        collection, held = await filled(bench, *range(10))
        folder.write_text("in the way")
        with pytest.raises(Unavailable, match="searcher's disk"):
            await make(bench, collection)
        (given_up,) = bench.catalogue.bases.of_shard(*held.key)
        assert given_up.retired_at is not None


@in_loop
async def test_a_feed_renewed_while_its_base_is_stored_gets_none(tmp_path: Path) -> None:
    with Bench(tmp_path, blobs=(blobs := Blobs())) as bench:
        collection, _ = await filled(bench, *range(10))
        blobs.on_write = lambda: bench.catalogue.bases.restore(collection.collection_id, {}) and None
        with pytest.raises(FailedPrecondition, match="renewed"):
            await make(bench, collection)
        assert bench.catalogue.bases.of_collection() == []


@in_loop
async def test_a_base_of_another_epoch_is_refused_and_one_that_was_restored_from_is_not(tmp_path: Path) -> None:
    with Bench(tmp_path, blobs=Blobs()) as bench:
        collection, held = await filled(bench, *range(10))
        base = await make(bench, collection)
        bench.index(collection, 20)
        await bench.ready(collection)
        bench.catalogue.bases.restore(collection.collection_id, {})
        bench.database.pages.clear()
        renewed = await bench.ready(collection)
        assert held.dropped
        assert found(renewed) == names(*range(10), 20)
        assert bench.database.pages == [0]
        bench.catalogue.bases.restore(collection.collection_id, {0: base.base_id})
        bench.database.pages.clear()
        restored = await bench.ready(collection)
        assert renewed.dropped
        assert restored.epoch not in (held.epoch, renewed.epoch)
        assert found(restored) == names(*range(10), 20)
        assert bench.database.pages == [0, 10]
        bench.start()
        bench.database.pages.clear()
        assert found(await bench.ready(collection)) == names(*range(10), 20)
        assert bench.database.pages == [10]


@in_loop
async def test_a_base_that_is_not_what_the_catalogue_says_is_refused(tmp_path: Path) -> None:
    with Bench(tmp_path, blobs=Blobs()) as bench:
        collection, _ = await filled(bench, *range(10))
        others = bench.collection("others")
        bench.index(others, *range(50, 70))
        await bench.ready(others)
        await make(bench, collection)
        wrong = await make(bench, others)
        mixed_up = bench.catalogue.bases.begin(collection.collection_id, 0, bench.held(collection).epoch)
        content = BaseContent(10, wrong.manifest, wrong.manifest_sha256, 20, 1)
        bench.catalogue.bases.finish(mixed_up.base_id, content)
        lose_disk(bench)
        assert found(await bench.ready(collection)) == names(*range(10))
        assert {bool(each.damage) for each in bench.catalogue.bases.of_collection(collection.collection_id)} == {
            True,
            False,
        }


@in_loop
async def test_a_deletion_after_the_base_is_not_undone_by_it(tmp_path: Path) -> None:
    with Bench(tmp_path, blobs=Blobs()) as bench:
        collection, _ = await filled(bench, *range(10))
        await make(bench, collection)
        bench.delete(collection, 3)
        await bench.ready(collection)
        await bench.snapshots.write_changed()
        await bench.follower.poll()
        bench.catalogue.feed_reader.prune_tombstones(100)
        lose_disk(bench)
        assert found(await bench.ready(collection)) == names(*range(10)) - names(3)


@in_loop
async def test_a_shard_taken_away_while_it_is_fetched_leaves_nothing(tmp_path: Path) -> None:
    class Slow(Blobs):
        fetching = threading.Event()
        go_on = threading.Event()

        def get_named(self, name: str) -> bytes:
            if "manifests" in name and self.is_slow:
                self.fetching.set()
                assert self.go_on.wait(30)
            return super().get_named(name)

        is_slow = False

    with Bench(tmp_path, blobs=(blobs := Slow())) as bench:
        collection, _ = await filled(bench, *range(10))
        await make(bench, collection)
        lose_disk(bench)
        blobs.is_slow = True
        await bench.follower.poll()
        held = bench.held(collection)
        await asyncio.to_thread(blobs.fetching.wait, 30)
        bench.catalogue.collections.delete("photos")
        await bench.follower.poll()
        assert held.dropped
        blobs.go_on.set()
        await caught_up(bench)
        await bench.disk_done()
        assert not bench.snapshots._data.known()


@in_loop
async def test_whoever_shuts_down_gives_its_base_up(tmp_path: Path) -> None:
    with Bench(tmp_path, blobs=(blobs := Blobs())) as bench:
        collection, held = await filled(bench, *range(10))
        begun, go_on = threading.Event(), threading.Event()

        def wait() -> None:
            begun.set()
            assert go_on.wait(30)

        blobs.on_write = wait
        call = asyncio.create_task(make(bench, collection))
        await asyncio.to_thread(begun.wait, 30)
        closing = asyncio.create_task(bench.base_maker.close(30))
        await asyncio.sleep(0)
        go_on.set()
        await closing
        with pytest.raises(Unavailable, match="shutting down"):
            await call
        (given_up,) = bench.catalogue.bases.of_shard(*held.key)
        assert given_up.retired_at is not None
