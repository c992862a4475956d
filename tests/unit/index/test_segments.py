"""What sealed segments promise beyond right answers: options, ties, crowds, and builds that writes go on beside."""

import gc
import os
import shutil
from pathlib import Path

import faiss
import numpy as np
import pytest

from pixvec.domain import IndexKind, Metric, SearchOptions, VectorStorage
from pixvec.index.brute import NumpyShard
from pixvec.index.durable import Damaged
from pixvec.index.interfaces import Change
from pixvec.index.plan import BuildPolicy
from pixvec.index.sealed import open_sealed
from pixvec.index.sealing import index_in_this_process, seal
from pixvec.index.shard import Shard
from tests.unit.index.segments import (
    BUILT_KINDS,
    EAGER,
    EXACT,
    LISTS,
    begin,
    build,
    clustered,
    deletes,
    puts,
    recall,
    same,
    sealed_shard,
    spec,
)

DIM, ROWS = 16, 1000
QUERIES = clustered(40, DIM, seed=7)


def test_ef_is_honoured(tmp_path: Path) -> None:
    shard = sealed_shard(spec(IndexKind.HNSW), clustered(ROWS, DIM), tmp_path)
    compared = []
    for ef in (20, 200, 1000):
        faiss.cvar.hnsw_stats.reset()
        shard.search("image", QUERIES, 1, options=SearchOptions(ef=ef))
        compared.append(faiss.cvar.hnsw_stats.ndis)
    assert compared == sorted(compared)
    assert compared[2] > 2 * compared[0]


@pytest.mark.parametrize("kind", LISTS)
def test_nprobe_is_honoured(kind: IndexKind, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((ROWS, DIM)).astype(np.float32)
    shard = sealed_shard(spec(kind, nlist=20), rows, tmp_path)
    best = shard.search("image", QUERIES, 10, options=EXACT)
    found = [
        recall(shard.search("image", QUERIES, 10, options=SearchOptions(nprobe=nprobe, rescore=100)), best)
        for nprobe in (1, 20)
    ]
    # In all lists, rescored throughout, nothing can be missed.
    assert found[0] < 0.9 < found[1] == 1


def test_rescoring_is_honoured(tmp_path: Path) -> None:
    shard = sealed_shard(spec(IndexKind.FLAT_BINARY), clustered(ROWS, DIM), tmp_path)
    best = shard.search("image", QUERIES, 10, options=EXACT)
    found = [
        recall(shard.search("image", QUERIES, 10, options=SearchOptions(rescore=rescore)), best)
        for rescore in (-1, 3, 100)
    ]
    assert found[0] < found[1] < found[2] == 1


@pytest.mark.parametrize("storage", list(VectorStorage))
@pytest.mark.parametrize("count", [1, 40])
def test_equal_scores_at_the_cut_are_in_order_of_ids(storage: VectorStorage, count: int, tmp_path: Path) -> None:
    """More of them than are fetched at first, in two segments."""
    random = np.random.default_rng(0)
    blank = random.standard_normal((1, DIM)).astype(np.float32)
    shard = Shard([spec(IndexKind.FLAT, storage=storage)])
    names = [f"blank-{number:03}" for number in random.permutation(500).tolist()]
    for half in (names[:250], names[250:]):
        shard.apply([Change(name, {"image": blank}) for name in half], shard.applied_seq + 1)
        build(shard, tmp_path, BuildPolicy(seal_rows=1, max_segment_rows=250))
    queries = np.repeat(blank, count, axis=0) + random.standard_normal((count, DIM)).astype(np.float32) * 0.01
    for hits in shard.search("image", queries, 10):
        assert hits.image_ids == [f"blank-{number:03}" for number in range(10)]


@pytest.mark.parametrize("kind", BUILT_KINDS)
def test_an_image_of_very_many_rows_hides_no_other(kind: IndexKind, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    near = np.repeat(random.standard_normal((1, DIM)).astype(np.float32), 6000, axis=0)
    near += random.standard_normal(near.shape).astype(np.float32) * 0.01
    shard = Shard([spec(kind)])
    shard.apply([Change("crowd", {"image": near}), *puts(clustered(30, DIM))], 1)
    build(shard, tmp_path, kind=kind)
    (hits,) = shard.search("image", near[:1], 5)
    assert len(hits.image_ids) == 5
    assert hits.image_ids[0] == "crowd"


@pytest.mark.parametrize("kind", [IndexKind.HNSW, IndexKind.IVF_SQ8, IndexKind.IVF_PQ])
def test_equal_pictures_by_the_thousand_leave_the_others_to_be_found(kind: IndexKind, tmp_path: Path) -> None:
    rows = np.concatenate([clustered(3000, DIM), np.repeat(clustered(1, DIM, seed=5), 1000, axis=0)])
    rows = rows[np.random.default_rng(0).permutation(len(rows))]
    shard = sealed_shard(spec(kind), rows, tmp_path)
    found, best = (shard.search("image", QUERIES, 10, options=options) for options in (SearchOptions(), EXACT))
    # Which of equal ones are found is all the same.
    assert np.mean([a.scores >= b.scores[-1] - 1e-5 for a, b in zip(found, best, strict=True)]) >= 0.9


@pytest.mark.parametrize("kind", BUILT_KINDS)
@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("scale", [1e-12, 1e4, 1e16])
def test_very_short_and_very_long_vectors(kind: IndexKind, metric: Metric, scale: float, tmp_path: Path) -> None:
    """Where float16 would lose them they are kept as float32."""
    rows = clustered(300, DIM) * np.float32(scale)
    shard, model = sealed_shard(spec(kind, metric), rows, tmp_path), NumpyShard([spec(kind, metric)])
    model.apply(puts(rows), 300)
    queries = QUERIES * np.float32(scale)
    expected = model.search("image", queries, 10)
    found = shard.search("image", queries, 10, options=EXACT)
    for hits, true in zip(found, expected, strict=True):
        assert np.allclose(hits.scores, true.scores, rtol=1e-4, atol=float(np.abs(true.scores).max()) * 1e-5)
    assert recall(found, expected) >= 0.99
    assert recall(shard.search("image", queries, 10), expected) >= 0.9


def test_one_row_is_a_segment(tmp_path: Path) -> None:
    for kind in BUILT_KINDS:
        if kind not in LISTS:
            shard = sealed_shard(spec(kind), clustered(1, DIM), tmp_path / kind)
            (hits,) = shard.search("image", QUERIES[:1], 10)
            assert hits.image_ids == ["image-0"]


def test_what_dies_during_a_build_is_dead_in_its_segment(tmp_path: Path) -> None:
    shard = Shard([spec()], block_bytes=4 * DIM * 50)
    shard.apply(puts(clustered(200, DIM)), 1)
    shard.apply(deletes(range(5)), 2)
    begun = begin(shard)
    newer = clustered(5, DIM, seed=3)
    shard.apply([*deletes(range(10, 20)), *puts(newer, 30)], 3)
    segment = seal(tmp_path, begun, index_in_this_process)
    shard.apply(deletes(range(50, 60)), 4)
    shard.finish_build(begun, segment)
    alive = {f"image-{number}" for number in range(200)} - {
        f"image-{number}" for number in (*range(5), *range(10, 20), *range(50, 60))
    }
    (hits,) = shard.search("image", QUERIES[:1], 1000)
    assert set(hits.image_ids) == alive
    assert shard.image_count == len(alive)
    (held,) = shard.view.spaces["image"].sealed
    assert (held.row_count, held.dead_count) == (195, 25)
    stored = shard.vectors("image", ["image-30"])["image-30"]
    assert np.allclose(stored, newer[:1] / np.linalg.norm(newer[0]), atol=1e-3)


def test_what_dies_during_a_merge_is_dead_in_its_segment(tmp_path: Path) -> None:
    shard = Shard([spec()])
    for first in (0, 100):
        shard.apply(puts(clustered(100, DIM, seed=first), first), first + 1)
        build(shard, tmp_path, BuildPolicy(seal_rows=1, max_segment_rows=100))
    shard.apply(puts(clustered(100, DIM, seed=3), 200), 201)
    shard.apply(deletes([0, 150, 250]), 202)
    begun = begin(shard)
    assert len(begun.sealed) == 2
    shard.apply([*deletes([1, 251]), *puts(clustered(1, DIM), 151)], 203)
    segment = seal(tmp_path, begun, index_in_this_process)
    shard.apply(deletes([2, 152, 252]), 204)
    shard.finish_build(begun, segment)
    alive = {f"image-{number}" for number in range(300)} - {
        f"image-{number}" for number in (0, 1, 2, 150, 152, 250, 251, 252)
    }
    (hits,) = shard.search("image", QUERIES[:1], 1000)
    assert set(hits.image_ids) == set(shard.vectors("image", [f"image-{n}" for n in range(300)])) == alive
    (held,) = shard.view.spaces["image"].sealed
    assert (held.row_count, held.dead_count, shard.image_count) == (297, 6, 292)


def test_a_build_of_nothing_but_the_dead_leaves_nothing(tmp_path: Path) -> None:
    shard = sealed_shard(spec(), clustered(20, DIM), tmp_path)
    shard.apply(deletes(range(20)), 21)
    begun = begin(shard)
    segment = seal(tmp_path, begun, index_in_this_process)
    assert segment is None
    shard.finish_build(begun, segment)
    assert shard.segment_names == set()
    assert shard.search("image", QUERIES[:1], 5)[0].image_ids == []


def test_a_segment_is_relied_on_when_all_of_it_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash in a test loses no cache of the system, so the order of calls itself is checked."""
    shard = Shard([spec(IndexKind.HNSW)])
    shard.apply(puts(clustered(50, DIM)), 1)
    begun, synced, fsync = begin(shard), [], os.fsync

    def note(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", note)
        seal(tmp_path, begun, index_in_this_process)
    folder = tmp_path / begun.name
    files = [folder / name for name in ("vectors.faiss", "ids.bin", "index.faiss")]
    assert synced == [*files, folder, tmp_path, tmp_path.parent]
    assert {path.name for path in folder.iterdir()} == {"vectors.faiss", "ids.bin", "index.faiss"}


def test_an_abandoned_build_leaves_everything_and_can_be_done_again(tmp_path: Path) -> None:
    shard = sealed_shard(spec(), clustered(20, DIM), tmp_path)
    shard.apply(puts(clustered(30, DIM, seed=2), 20), 50)
    before = shard.search("image", QUERIES, 50)
    begun = begin(shard)
    assert shard.begin_build(EAGER) is None
    assert begun.name in shard.segment_names
    shard.abandon_build(begun)
    assert begun.name not in shard.segment_names
    shard.apply(deletes([3]), 51)
    build(shard, tmp_path)
    assert len(shard.view.spaces["image"].sealed) == 1
    after = shard.search("image", QUERIES, 50)
    assert [[name for name in hits.image_ids if name != "image-3"] for hits in before] == [
        hits.image_ids for hits in after
    ]


def test_a_view_goes_on_searching_segments_that_are_gone(tmp_path: Path) -> None:
    shard = sealed_shard(spec(IndexKind.HNSW), clustered(300, DIM), tmp_path)
    shard.apply(deletes(range(0, 300, 2)), 301)
    view = shard.view.spaces["image"]
    before = view.search(QUERIES, 10, None, SearchOptions())
    build(shard, tmp_path)
    shutil.rmtree(tmp_path)
    gc.collect()
    assert same(view.search(QUERIES, 10, None, SearchOptions()), before)
    assert same(shard.search("image", QUERIES, 10, options=EXACT), view.search(QUERIES, 10, None, EXACT))


def test_indexes_that_are_there_leave_less_for_auto(tmp_path: Path) -> None:
    shard = Shard([spec(IndexKind.AUTO)])
    shard.apply(puts(clustered(4000, DIM)), 1)
    policy = BuildPolicy(seal_rows=1, max_segment_rows=5000, budget_bytes=2_000_000)
    assert build(shard, tmp_path, policy).kind is IndexKind.HNSW
    shard.apply(puts(clustered(4000, DIM), 4000), 2)
    # Nothing of the first segment is swallowed: the two together are too many.
    assert build(shard, tmp_path, policy).kind is IndexKind.FLAT


def test_files_that_cannot_be_mapped_are_damaged(tmp_path: Path) -> None:
    """What FAISS itself would not read, for want of an end say, though it is what was written."""
    shard = sealed_shard(spec(IndexKind.HNSW), clustered(50, DIM), tmp_path)
    (held,) = shard.view.spaces["image"].sealed
    for file in held.segment.seal.files:
        path = held.segment.folder / file.name
        whole = path.read_bytes()
        path.unlink()
        with pytest.raises(Damaged) as caught:
            open_sealed(held.segment.folder, held.segment.seal, held.segment.space)
        assert caught.value.cause == "missing"
        path.write_bytes(whole)
    open_sealed(held.segment.folder, held.segment.seal, held.segment.space)
