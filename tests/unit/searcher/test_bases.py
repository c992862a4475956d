"""A shard is backed up while it goes on, and begun with its backup where the disk is empty or the feed truncated."""

import asyncio
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pixvec.backups.checking import check_backup
from pixvec.backups.manifest import read_manifest
from pixvec.blobs.store import MemoryBlobStore
from pixvec.catalogue.bases import BaseContent
from pixvec.catalogue.topology import ShardReport
from pixvec.domain import BaseSnapshot, Collection, ShardPosition
from pixvec.errors import BackupDamaged, FailedPrecondition, ShardUnavailable, Unavailable
from pixvec.index.plan import BuildPolicy
from pixvec.index.sealing import index_in_this_process, seal
from pixvec.internal.v1 import searcher_service_pb2 as pb
from pixvec.rpc.conversions import position_to_wire
from pixvec.telemetry.metrics import BASES_REFUSED
from services.searcher.bootstrap import RETRY_S
from services.searcher.held_shard import HeldShard
from tests.in_loop import in_loop
from tests.unit.searcher.searching import Bench, Context, end_of, found, names


class Blobs(MemoryBlobStore):
    """A store that can be spoilt, can be away, and tells what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.is_down = False
        self.written: list[str] = []
        self.on_write: Callable[[], None] = lambda: None

    def put_named(self, name: str, content: bytes) -> None:
        self._check()
        self.on_write()
        self.written.append(name)
        super().put_named(name, content)

    def chunks(self, name: str) -> Iterator[bytes]:
        self._check()
        return super().chunks(name)

    def spoil(self, base: BaseSnapshot) -> Callable[[], None]:
        """Flip a bit in a file of this base; return what puts it right."""
        file = max(read_manifest(self, base).files, key=lambda file: file.size_bytes)
        kept = self._blobs[file.name]
        self._blobs[file.name] = bytes([kept[0] ^ 1]) + kept[1:]
        return lambda: self._blobs.update({file.name: kept})

    def _check(self) -> None:
        if self.is_down:
            raise Unavailable("no blob store")


async def make(bench: Bench, collection: Collection) -> BaseSnapshot:
    return (await bench.base_maker.make((collection.collection_id, 0))).base


async def filled(bench: Bench, *numbers: int) -> tuple[Collection, HeldShard]:
    collection = bench.collection()
    bench.index(collection, *numbers)
    return collection, await bench.ready(collection)


async def caught_up(bench: Bench) -> None:
    """Poll, and wait until nothing is being caught up."""
    await bench.follower.poll()
    await bench.caught_up()


async def truncated(bench: Bench, base: BaseSnapshot) -> None:
    """Let the feed begin at the base, and its rows go."""
    await bench.snapshots.write_changed()
    await bench.follower.poll()
    assert bench.catalogue.bases.truncate(base.base_id)
    bench.catalogue.feed_reader.prune_truncated(10_000)


def lose_disk(bench: Bench) -> None:
    """Start another searcher in the place of this one, with an empty disk."""
    bench.stop()
    shutil.rmtree(bench.folder)
    bench.folder.mkdir()
    bench.start()
    bench.database.pages.clear()


def carried(folder: Path) -> list[Path]:
    """Return what is still on its way from or to a shard's folder."""
    return [*folder.glob("*/outgoing-*"), *folder.glob("*/incoming-*")]


def refused() -> float:
    (metric,) = BASES_REFUSED.collect()
    return sum(sample.value for sample in metric.samples if sample.name.endswith("_total"))


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
async def test_an_empty_disk_is_filled_from_the_base_and_the_feed_above_it(tmp_path: Path) -> None:
    with Bench(tmp_path, blobs=Blobs()) as bench:
        collection, _ = await filled(bench, *range(20))
        base = await make(bench, collection)
        bench.delete(collection, 3)
        bench.index(collection, 4, 30)
        lose_disk(bench)
        held = await bench.ready(collection)
        assert found(held) == names(*range(20), 30) - names(3)
        assert bench.database.pages == [0, 20]
        assert (held.snapshot_seq, held.index.image_count) == (base.seq, 20)
        await bench.disk_done()
        assert not carried(tmp_path)
        bench.start()
        bench.database.pages.clear()
        assert found(await bench.ready(collection)) == names(*range(20), 30) - names(3)
        assert bench.database.pages == [20]


@in_loop
async def test_the_base_of_an_empty_shard_is_no_place_to_begin(tmp_path: Path) -> None:
    with Bench(tmp_path, blobs=Blobs()) as bench:
        collection = bench.collection()
        await bench.ready(collection)
        assert (await make(bench, collection)).seq == 0
        bench.index(collection, 1)
        lose_disk(bench)
        assert found(await bench.ready(collection)) == names(1)
        assert bench.database.pages == [0]


@in_loop
async def test_a_truncated_feed_and_a_lost_disk_lose_nothing(tmp_path: Path) -> None:
    with Bench(tmp_path, blobs=Blobs()) as bench:
        collection, _ = await filled(bench, *range(20))
        bench.delete(collection, 7)
        await bench.ready(collection)
        await truncated(bench, await make(bench, collection))
        bench.delete(collection, 3)
        bench.index(collection, 4, 30)
        expected = names(*range(20), 30) - names(3, 7)
        held = await bench.ready(collection)
        assert found(held) == expected
        assert len(bench.catalogue.feed_reader.read(collection.collection_id, 0, 21, 100).entries) == 3
        bench.start()
        assert found(await bench.ready(collection)) == expected
        lose_disk(bench)
        assert found(await bench.ready(collection)) == expected


@in_loop
async def test_one_too_far_behind_begins_anew_with_the_base(tmp_path: Path) -> None:
    with Bench(tmp_path, blobs=Blobs()) as bench:
        collection, _ = await filled(bench, *range(5))
        kept = tmp_path.with_name("kept")
        await bench.snapshots.write_changed()
        shutil.copytree(tmp_path, kept)
        bench.index(collection, *range(5, 10))
        await bench.ready(collection)
        await truncated(bench, await make(bench, collection))
        bench.stop()
        shutil.rmtree(tmp_path)
        kept.rename(tmp_path)
        bench.start()
        bench.database.pages.clear()
        assert found(await bench.ready(collection)) == names(*range(10))
        assert bench.database.pages == [0, 10]


@in_loop
async def test_one_that_is_overtaken_by_the_truncation_while_it_runs_begins_anew(tmp_path: Path) -> None:
    with Bench(tmp_path, blobs=(blobs := Blobs()), page_rows=4) as bench:
        collection, _ = await filled(bench, *range(10))
        base = await make(bench, collection)
        await bench.follower.poll()
        bench.blobs = None
        lose_disk(bench)
        reader, read = bench.database.feed, bench.database.feed.read

        def overtake(collection_id: int, shard: int, after_seq: int, limit: int) -> object:
            if after_seq == 4:
                report = ShardReport(collection_id, shard, False, 10)
                bench.catalogue.topology.heartbeat("searcher", "here", [report], lease_s=1e6)
                assert bench.catalogue.bases.truncate(base.base_id)
                bench.database.feed.read = read  # type: ignore[method-assign]
            return read(collection_id, shard, after_seq, limit)

        reader.read = overtake  # type: ignore[method-assign,assignment]
        await bench.follower.poll()
        held = bench.held(collection)
        await caught_up(bench)
        assert held.dropped
        assert bench.database.pages == [0, 4]
        bench.blobs = blobs
        bench.start()
        assert found(await bench.ready(collection)) == names(*range(10))


@in_loop
async def test_a_damaged_base_is_refused_and_the_older_one_taken(tmp_path: Path) -> None:
    with Bench(tmp_path, blobs=(blobs := Blobs())) as bench:
        collection, _ = await filled(bench, *range(10))
        older = await make(bench, collection)
        bench.index(collection, 20)
        await bench.ready(collection)
        newer = await make(bench, collection)
        blobs.spoil(newer)
        before = refused()
        lose_disk(bench)
        assert found(await bench.ready(collection)) == names(*range(10), 20)
        assert bench.database.pages == [0, older.seq]
        assert refused() == before + 1
        damage = {each.base_id: each.damage for each in bench.catalogue.bases.of_collection()}
        assert "not what was written" in damage[newer.base_id]
        assert damage[older.base_id] == ""
        assert not bench.catalogue.bases.truncate(newer.base_id)


@in_loop
async def test_with_no_base_that_is_whole_a_feed_that_is_whole_is_read(tmp_path: Path) -> None:
    with Bench(tmp_path, blobs=(blobs := Blobs())) as bench:
        collection, _ = await filled(bench, *range(10))
        blobs.spoil(await make(bench, collection))
        lose_disk(bench)
        assert found(await bench.ready(collection)) == names(*range(10))
        assert bench.database.pages == [0]


@in_loop
async def test_a_shard_whose_only_base_is_damaged_is_not_served_until_it_is_put_right(tmp_path: Path) -> None:
    with Bench(tmp_path, blobs=(blobs := Blobs())) as bench:
        collection, _ = await filled(bench, *range(10))
        base = await make(bench, collection)
        await truncated(bench, base)
        mend = blobs.spoil(base)
        lose_disk(bench)
        before = refused()
        for _ in range(3):
            await caught_up(bench)
            assert not bench.held(collection).ready
        assert refused() == before + 1
        assert bench.catalogue.bases.of_collection()[0].damage
        mend()
        await caught_up(bench)
        assert not bench.held(collection).ready
        bench.time += RETRY_S
        assert found(await bench.ready(collection)) == names(*range(10))
        assert bench.catalogue.bases.of_collection()[0].is_sound


@in_loop
async def test_a_blob_store_that_is_away_is_waited_for(tmp_path: Path) -> None:
    with Bench(tmp_path, blobs=(blobs := Blobs())) as bench:
        collection, _ = await filled(bench, *range(10))
        await truncated(bench, await make(bench, collection))
        lose_disk(bench)
        blobs.is_down = True
        await caught_up(bench)
        assert not bench.held(collection).ready
        assert bench.catalogue.bases.of_collection()[0].is_sound
        blobs.is_down = False
        bench.time += RETRY_S
        assert found(await bench.ready(collection)) == names(*range(10))


@in_loop
async def test_a_searcher_without_a_blob_store_serves_no_shard_that_begins_in_one(tmp_path: Path) -> None:
    with Bench(tmp_path, blobs=Blobs()) as bench:
        collection, _ = await filled(bench, *range(10))
        await truncated(bench, await make(bench, collection))
        bench.blobs = None
        lose_disk(bench)
        await caught_up(bench)
        assert not bench.held(collection).ready
        assert found(bench.held(collection)) == set()


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
