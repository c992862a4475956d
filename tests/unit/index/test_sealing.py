"""Sealed segments of every kind answer as rows compared one by one in plain arrays do."""

import functools
import gc
import shutil
from pathlib import Path

import faiss
import numpy as np
import pytest

from pixvec.domain import IndexKind, Metric, SearchOptions, VectorStorage
from pixvec.errors import InvalidVector
from pixvec.index.brute import NumpyShard
from pixvec.index.durable import Damaged
from pixvec.index.interfaces import Change, ShardHits, SpaceSpec
from pixvec.index.plan import BuildPolicy
from pixvec.index.sealed import open_sealed
from pixvec.index.sealing import index_in_this_process, seal
from pixvec.index.shard import Shard
from tests.unit.index.segments import (
    BUILT_KINDS,
    EAGER,
    begin,
    build,
    clustered,
    deletes,
    puts,
    recall,
    sealed_shard,
    spec,
)

DIM, ROWS = 16, 1000
QUERIES = clustered(40, DIM, seed=7)
EXACT = SearchOptions(exact=True)
LISTS = [IndexKind.IVF_SQ8, IndexKind.IVF_PQ, IndexKind.IVF_RABITQ]


@pytest.fixture(params=BUILT_KINDS, scope="module")
def kind(request: pytest.FixtureRequest) -> IndexKind:
    return request.param


@pytest.fixture(params=list(Metric), scope="module")
def metric(request: pytest.FixtureRequest) -> Metric:
    return request.param


@pytest.fixture(params=list(VectorStorage), scope="module")
def storage(request: pytest.FixtureRequest) -> VectorStorage:
    return request.param


@pytest.fixture(scope="module")
def space(kind: IndexKind, metric: Metric, storage: VectorStorage) -> SpaceSpec:
    return spec(kind, metric, storage, DIM)


@pytest.fixture(scope="module")
def sealed(space: SpaceSpec, tmp_path_factory: pytest.TempPathFactory) -> Shard:
    """A shard of one segment, for tests that change nothing."""
    return sealed_shard(space, clustered(ROWS, DIM), tmp_path_factory.mktemp("segments"))


@functools.cache
def truth(metric: Metric, storage: VectorStorage) -> NumpyShard:
    shard = NumpyShard([spec(metric=metric, storage=storage, dim=DIM)])
    shard.apply(puts(clustered(ROWS, DIM)), ROWS)
    return shard


def one_by_one(space: SpaceSpec, k: int) -> list[ShardHits]:
    return truth(space.metric, space.index.storage).search("image", QUERIES, k)


def same(found: list[ShardHits], expected: list[ShardHits]) -> bool:
    """Whether the hits are the same, and their scores but for the order of summing up."""
    both = list(zip(found, expected, strict=True))
    return all(a.image_ids == b.image_ids and np.allclose(a.scores, b.scores, rtol=1e-5, atol=1e-5) for a, b in both)


def test_exact_search_is_exact(sealed: Shard, space: SpaceSpec) -> None:
    assert same(sealed.search("image", QUERIES, 10, options=EXACT), one_by_one(space, 10))


def test_default_search_finds_nine_of_ten(sealed: Shard, space: SpaceSpec) -> None:
    found = sealed.search("image", QUERIES, 10)
    assert recall(found, one_by_one(space, 10)) >= 0.9
    by_score = [dict(zip(hits.image_ids, hits.scores.tolist(), strict=True)) for hits in one_by_one(space, ROWS)]
    for hits, scores in zip(found, by_score, strict=True):
        assert hits.scores.tolist() == pytest.approx([scores[image_id] for image_id in hits.image_ids], abs=1e-4)
        assert hits.scores.tolist() == sorted(hits.scores.tolist(), reverse=True)


@pytest.mark.parametrize("options", [SearchOptions(), EXACT], ids=["default", "exact"])
def test_a_batch_finds_what_each_query_finds_alone(sealed: Shard, options: SearchOptions) -> None:
    together = sealed.search("image", QUERIES, 10, options=options)
    for query, batched in zip(QUERIES, together, strict=True):
        (alone,) = sealed.search("image", query[None], 10, options=options)
        assert alone.image_ids == batched.image_ids
        assert alone.scores.tolist() == batched.scores.tolist()


@pytest.mark.parametrize("k", [ROWS - 1, 3 * ROWS])
def test_as_many_as_asked_for_or_as_there_are(sealed: Shard, space: SpaceSpec, k: int) -> None:
    for options in (SearchOptions(), EXACT):
        found = sealed.search("image", QUERIES[:3], k, options=options)
        for hits, expected in zip(found, one_by_one(space, k), strict=False):
            assert len(hits.image_ids) == len(set(hits.image_ids)) == min(k, ROWS)
            if options is EXACT or k >= ROWS:
                assert set(hits.image_ids) == set(expected.image_ids)
                assert np.allclose(hits.scores, expected.scores, rtol=1e-5, atol=1e-4)


def test_without_rescoring_scores_are_exact_all_the_same(sealed: Shard, space: SpaceSpec) -> None:
    by_score = [dict(zip(hits.image_ids, hits.scores.tolist(), strict=True)) for hits in one_by_one(space, ROWS)]
    found = sealed.search("image", QUERIES, 10, options=SearchOptions(rescore=-1))
    for hits, scores in zip(found, by_score, strict=True):
        assert len(hits.image_ids) == 10
        assert hits.scores.tolist() == pytest.approx([scores[image_id] for image_id in hits.image_ids], abs=1e-4)
        assert hits.scores.tolist() == sorted(hits.scores.tolist(), reverse=True)


def test_a_bad_query_is_refused(sealed: Shard, metric: Metric) -> None:
    bad = [np.full((1, DIM), value, np.float32) for value in (np.nan, np.inf, -np.inf, 1e30)]
    bad += [QUERIES[:1, 1:], QUERIES[0]]
    if metric is Metric.COSINE:
        bad.append(np.zeros((1, DIM), np.float32))
    for query in bad:
        for options in (SearchOptions(), EXACT):
            with pytest.raises(InvalidVector):
                sealed.search("image", query, 10, options=options)


def test_zeros_are_a_vector_where_lengths_are_compared(sealed: Shard, space: SpaceSpec, metric: Metric) -> None:
    if metric is not Metric.COSINE:
        zeros = np.zeros((1, DIM), np.float32)
        (hits,) = sealed.search("image", zeros, 10, options=EXACT)
        (expected,) = truth(space.metric, space.index.storage).search("image", zeros, 10)
        assert same([hits], [expected])


def test_stored_vectors_are_those_that_were_growing(sealed: Shard, space: SpaceSpec) -> None:
    names = [f"image-{number}" for number in range(0, ROWS, 97)] + ["gone"]
    found, expected = sealed.vectors("image", names), truth(space.metric, space.index.storage).vectors("image", names)
    assert list(found) == list(expected)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_sealing_changes_no_score(space: SpaceSpec, tmp_path: Path) -> None:
    shard = Shard([space])
    shard.apply(puts(clustered(200, DIM)), 1)
    before = shard.search("image", QUERIES, 20)
    build(shard, tmp_path, kind=IndexKind.FLAT if space.index.kind in LISTS else space.index.kind)
    assert same(shard.search("image", QUERIES, 20, options=EXACT), before)


def test_the_dead_are_never_found(space: SpaceSpec, tmp_path: Path) -> None:
    """Not when few, nor when nearly all: then every one that is left is found by a search for it."""
    shard, model = sealed_shard(space, clustered(600, DIM), tmp_path), NumpyShard([space])
    model.apply(puts(clustered(600, DIM)), 1)
    alive = set(range(600))
    for seq, share in enumerate((0.1, 0.5, 0.8, 0.95, 0.99, 1.0)):
        dying = np.random.default_rng(3).permutation(600)[: int(share * 600)].tolist()
        for each in (shard, model):
            each.apply(deletes(dying), 700 + seq)
        alive -= set(dying)
        expected = model.search("image", QUERIES, 10)
        found = shard.search("image", QUERIES, 10)
        assert all(len(hits.image_ids) == min(10, len(alive)) for hits in found)
        assert all(int(image_id[6:]) in alive for hits in found for image_id in hits.image_ids)
        assert same(shard.search("image", QUERIES, 10, options=EXACT), expected)
        if alive:
            assert recall(found, expected) >= 0.9


def test_images_of_several_rows_are_found_once_by_their_best(space: SpaceSpec, tmp_path: Path) -> None:
    rows = clustered(900, DIM)
    counts = np.random.default_rng(1).integers(1, 8, size=300)
    ends = np.cumsum(counts)
    changes = [
        Change(f"image-{number}", {"image": rows[end - count : end] if end <= 900 else rows[:count]})
        for number, (count, end) in enumerate(zip(counts.tolist(), ends.tolist(), strict=True))
    ]
    shard, model = Shard([space]), NumpyShard([space])
    for each in (shard, model):
        each.apply(changes, 300)
    build(shard, tmp_path, kind=space.index.kind)
    for each in (shard, model):
        each.apply(deletes(range(0, 300, 9)), 301)
    expected = model.search("image", QUERIES, 10)
    found = shard.search("image", QUERIES, 10)
    assert recall(found, expected) >= 0.9
    assert all(len(set(hits.image_ids)) == 10 for hits in found)
    assert same(shard.search("image", QUERIES, 10, options=EXACT), expected)
    assert all(len(hits.image_ids) == shard.image_count for hits in shard.search("image", QUERIES, 1000))


def test_growing_and_sealed_rows_are_one_list(space: SpaceSpec, tmp_path: Path) -> None:
    rows = clustered(600, DIM)
    shard, model = Shard([space]), NumpyShard([space])
    for first in (0, 200, 400):
        for each in (shard, model):
            each.apply(puts(rows[first : first + 200], first), first + 200)
        if first < 400:
            build(shard, tmp_path / str(first), BuildPolicy(seal_rows=1, max_segment_rows=200), space.index.kind)
    for each in (shard, model):
        each.apply([*deletes(range(0, 600, 7)), *puts(rows[:20] + 1, 100)], 601)
    assert len(shard.view.spaces["image"].sealed) == 2
    expected = model.search("image", QUERIES, 10)
    assert same(shard.search("image", QUERIES, 10, options=EXACT), expected)
    assert recall(shard.search("image", QUERIES, 10), expected) >= 0.9
    assert shard.image_count == model.image_count


# What follows does not depend on the metric.


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


def test_a_build_of_nothing_but_the_dead_leaves_nothing(tmp_path: Path) -> None:
    shard = sealed_shard(spec(), clustered(20, DIM), tmp_path)
    shard.apply(deletes(range(20)), 21)
    begun = begin(shard)
    segment = seal(tmp_path, begun, index_in_this_process)
    assert segment is None
    shard.finish_build(begun, segment)
    assert shard.segment_names == set()
    assert shard.search("image", QUERIES[:1], 5)[0].image_ids == []


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
