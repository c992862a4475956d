"""Sealed segments of every kind answer as rows compared one by one in plain arrays do."""

import functools
from pathlib import Path

import numpy as np
import pytest

from pixvec.domain import IndexKind, Metric, SearchOptions, VectorStorage
from pixvec.errors import InvalidVector
from pixvec.index.brute import NumpyShard
from pixvec.index.interfaces import Change, ShardHits, SpaceSpec
from pixvec.index.plan import BuildPolicy
from pixvec.index.shard import Shard
from tests.unit.index.segments import (
    BUILT_KINDS,
    EXACT,
    LISTS,
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
