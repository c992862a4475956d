"""A shard begins with its backup where the disk is empty or the feed truncated."""

import shutil
from pathlib import Path

from pixvec.catalogue.topology import ShardReport
from services.searcher.bootstrap import RETRY_S
from tests.in_loop import in_loop
from tests.unit.searcher.basing import Blobs, carried, caught_up, filled, lose_disk, make, refused, truncated
from tests.unit.searcher.searching import Bench, found, names


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
        # Without a further poll: it would hold the shard anew.
        await bench.caught_up()
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
