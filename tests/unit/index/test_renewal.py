"""Segments that other index settings would make otherwise are built again, when nothing else is to be done."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pixvec.domain import IndexKind, IndexSettings, Metric, VectorStorage
from pixvec.index.interfaces import Change, SpaceSpec
from pixvec.index.kinds import choose_kind, is_outdated, list_count
from pixvec.index.manifest import ShardIdentity
from pixvec.index.plan import BuildPlan, BuildPolicy, next_build
from pixvec.index.sealing import index_in_this_process, seal
from pixvec.index.shard import Shard
from pixvec.index.snapshot import load_newest, write_snapshot
from pixvec.index.space_rows import SegmentSize

DIM = 8
AUTO = IndexSettings()
HNSW = IndexSettings(IndexKind.HNSW)
IVF = IndexSettings(IndexKind.IVF_SQ8)
POLICY = BuildPolicy(seal_rows=50, least_rows=10)


@pytest.mark.parametrize(
    ("kind", "rows", "built", "wanted", "outdated"),
    [
        (IndexKind.HNSW, 10**6, HNSW, HNSW, False),
        (IndexKind.HNSW, 10**6, AUTO, AUTO, False),
        (IndexKind.HNSW, 10**6, AUTO, HNSW, False),
        (IndexKind.HNSW, 10**6, HNSW, IVF, True),
        (IndexKind.FLAT, 10**6, IndexSettings(IndexKind.FLAT), AUTO, True),
        (IndexKind.FLAT, 100, IndexSettings(IndexKind.FLAT), AUTO, False),
        (IndexKind.HNSW, 100, IVF, IVF, False),
        (IndexKind.HNSW, 10**6, HNSW, replace(HNSW, hnsw_m=48), True),
        (IndexKind.HNSW, 10**6, HNSW, replace(HNSW, ef_construction=500), True),
        (IndexKind.HNSW, 10**6, HNSW, replace(HNSW, hnsw_m=32, nlist=7), False),
        (IndexKind.IVF_SQ8, 10**6, IVF, replace(IVF, nlist=100), True),
        (IndexKind.IVF_SQ8, 10**6, IVF, replace(IVF, nlist=4000, hnsw_m=9), False),
        (IndexKind.FLAT, 100, AUTO, replace(AUTO, hnsw_m=48), False),
        (IndexKind.FLAT, 100, AUTO, replace(AUTO, storage=VectorStorage.FLOAT32), True),
    ],
)
def test_what_is_outdated(
    kind: IndexKind, rows: int, built: IndexSettings, wanted: IndexSettings, outdated: bool
) -> None:
    chosen = choose_kind(wanted, rows, DIM, budget_bytes=2**40)
    assert is_outdated(kind, rows, built, wanted, chosen) is outdated


def test_what_auto_chose_stays_when_memory_runs_short() -> None:
    chosen = choose_kind(AUTO, 10**6, DIM, budget_bytes=1)
    assert chosen is not IndexKind.HNSW
    assert not is_outdated(IndexKind.HNSW, 10**6, AUTO, AUTO, chosen)


def test_no_more_lists_than_rows_can_train() -> None:
    assert list_count(3900, replace(IVF, nlist=1_000_000)) == 100
    assert list_count(10, IVF) == 1


def size(name: str, rows: int, **fields: bool) -> SegmentSize:
    return SegmentSize(name, rows, 0, **fields)


def test_the_smallest_outdated_segment_comes_first() -> None:
    sealed = [size("a", 900, is_outdated=True), size("b", 300, is_outdated=True), size("c", 100)]
    assert next_build(0, sealed, POLICY) == BuildPlan(growing=False, sealed=("b",))


@pytest.mark.parametrize(
    ("growing", "sealed", "first"),
    [
        (60, [], BuildPlan(growing=True, sealed=())),
        (0, [SegmentSize("dying", 100, 50)], BuildPlan(growing=False, sealed=("dying",))),
        (0, [size(name, 60) for name in "abcd"], BuildPlan(growing=False, sealed=("a", "b", "c", "d"))),
    ],
    ids=["sealing", "rewriting", "merging"],
)
def test_renewal_is_for_when_nothing_else_is_to_be_done(
    growing: int, sealed: list[SegmentSize], first: BuildPlan
) -> None:
    assert next_build(growing, [size("old", 900, is_outdated=True), *sealed], POLICY) == first


def test_nothing_is_renewed_twice_at_once() -> None:
    assert next_build(0, [size("a", 900, is_outdated=True, is_frozen=True)], POLICY) is None


def spec(settings: IndexSettings) -> SpaceSpec:
    return SpaceSpec("image", DIM, Metric.COSINE, "ab" * 32, settings)


def build(shard: Shard, folder: Path) -> IndexKind | None:
    """Do the next build; return the kind it made, None when there was nothing to build."""
    planned = shard.begin_build(POLICY)
    if planned is None:
        return None
    shard.finish_build(planned, seal(folder, planned, index_in_this_process))
    return planned.kind


def found(shard: Shard, rows: np.ndarray) -> list[str]:
    return [hits.image_ids[0] for hits in shard.search("image", rows, 1)]


def test_a_shard_renews_its_segments_once_and_answers_as_before(tmp_path: Path) -> None:
    rows = np.random.default_rng(5).standard_normal((100, DIM)).astype(np.float32)
    shard = Shard([spec(AUTO)])
    shard.apply([Change(f"image-{number}", {"image": row[None]}) for number, row in enumerate(rows)], 1)
    assert build(shard, tmp_path) is IndexKind.FLAT
    assert build(shard, tmp_path) is None
    names = found(shard, rows)
    for settings in (HNSW, replace(HNSW, hnsw_m=8), IndexSettings(IndexKind.FLAT_INT8)):
        shard.use_settings([spec(settings)])
        assert build(shard, tmp_path) is settings.kind
        (view,) = shard.view.spaces["image"].sealed
        assert view.segment.seal.settings == settings
        assert build(shard, tmp_path) is None
        assert found(shard, rows) == names == [f"image-{number}" for number in range(100)]


def test_a_restart_remembers_what_a_segment_was_built_by(tmp_path: Path) -> None:
    rows = np.random.default_rng(5).standard_normal((100, DIM)).astype(np.float32)
    tuned = IndexSettings(IndexKind.HNSW, VectorStorage.FLOAT32, hnsw_m=8, ef_construction=60, nlist=3)
    shard = Shard([spec(tuned)])
    shard.apply([Change(f"image-{number}", {"image": row[None]}) for number, row in enumerate(rows)], 1)
    assert build(shard, tmp_path) is IndexKind.HNSW
    write_snapshot(tmp_path, shard.view, ShardIdentity(1, 0, "e", (spec(tuned),)))
    for settings, renewed in ((tuned, None), (replace(tuned, hnsw_m=12), IndexKind.HNSW)):
        again = load_newest(tmp_path, ShardIdentity(1, 0, "e", (spec(settings),)))
        assert again is not None
        (view,) = again.view.spaces["image"].sealed
        assert view.segment.seal.settings == tuned
        assert build(again, tmp_path) is renewed
