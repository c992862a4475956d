"""Other index settings for a collection that is held: nothing is dropped, segments are built again."""

from dataclasses import replace
from pathlib import Path

from pixvec.domain import IndexKind, IndexSettings
from pixvec.index.plan import BuildPolicy
from services.searcher.held_shard import HeldShard
from tests.in_loop import in_loop
from tests.unit.searcher.compacting import compacting
from tests.unit.searcher.searching import SPACE, Bench, dropped, found, names

POLICY = BuildPolicy(seal_rows=20, least_rows=10)


def to_hnsw(settings: IndexSettings) -> IndexSettings:
    return replace(settings, kind=IndexKind.HNSW)


def kinds(held: HeldShard) -> list[IndexKind]:
    return [view.segment.seal.kind for view in held.index.view.spaces["image"].sealed]


@in_loop
async def test_segments_are_built_again_and_the_shard_stays(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench, compacting(bench, policy=POLICY) as compaction:
        collection = bench.collection()
        bench.index(collection, *range(30))
        held = await bench.ready(collection)
        assert await compaction.build_next(held)
        assert not await compaction.build_next(held)
        assert kinds(held) == [IndexKind.FLAT]

        changed = bench.catalogue.collections.change_index("photos", "", to_hnsw)
        assert await bench.ready(collection) is held
        assert held.collection == changed
        assert await compaction.build_next(held)
        assert not await compaction.build_next(held)
        assert kinds(held) == [IndexKind.HNSW]
        assert found(held) == names(*range(30))

        bench.start()
        again = await bench.ready(collection)
        assert kinds(again) == [IndexKind.HNSW]
        assert found(again) == names(*range(30))


@in_loop
async def test_settings_that_change_while_a_snapshot_is_read_hold(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        bench.index(collection, 1)
        await bench.ready(collection)
        await bench.snapshots.write_changed()
        bench.start()
        await bench.follower.poll()
        held = bench.held(collection)
        assert not held.loaded
        bench.catalogue.collections.change_index("photos", "", to_hnsw)
        await bench.ready(collection)
        (spec,) = held.index.spaces
        assert spec.index.kind is IndexKind.HNSW


@in_loop
async def test_another_digest_still_drops_the_shard(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        held = await bench.ready(collection)
        (assignment,) = bench.database.assignments("searcher")
        other = replace(collection, spaces=(replace(SPACE, digest="cd" * 32),))
        bench.host.reconcile([replace(assignment, collection=other)], {})
        await dropped(held)
        assert bench.held(collection) is not held
