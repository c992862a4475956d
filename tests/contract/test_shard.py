"""What every shard promises: growing and sealed ones over FAISS, and one over plain arrays."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from pixvec.domain import Metric
from pixvec.errors import InvalidVector, SpaceNotFound
from pixvec.index.brute import NumpyShard
from pixvec.index.interfaces import Change, SpaceSpec
from pixvec.index.plan import BuildPolicy
from pixvec.index.sealing import index_in_this_process, seal
from pixvec.index.shard import Shard
from tests.unit.index.segments import ordinals_of

AnyShard = Shard | NumpyShard
Make = Callable[..., AnyShard]


class SealedShard(Shard):
    """One that seals every batch, into segments that are merged now and then."""

    def __init__(self, spaces: Sequence[SpaceSpec], folder: Path) -> None:
        super().__init__(spaces)
        self._folder = folder

    def apply(self, changes: Sequence[Change], through_seq: int) -> None:
        super().apply(changes, through_seq)
        while build := self.begin_build(BuildPolicy(seal_rows=1, max_segment_rows=20)):
            self.finish_build(build, seal(self._folder, build, index_in_this_process))


@pytest.fixture(params=["growing", "sealed", "numpy"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    def make(*spaces: SpaceSpec) -> AnyShard:
        if request.param == "numpy":
            return NumpyShard(spaces)
        if request.param == "sealed":
            return SealedShard(spaces, tmp_path)
        # Blocks of a few rows: every search goes over several, every delete may compact one.
        return Shard(spaces, block_bytes=4 * spaces[0].dim * 5)

    return make


@pytest.fixture(params=list(Metric))
def space(request: pytest.FixtureRequest) -> SpaceSpec:
    return SpaceSpec("image", 4, request.param)


COSINE = SpaceSpec("image", 4, Metric.COSINE)


def row(*values: float) -> np.ndarray:
    return np.array([values], np.float32)


def put(image_id: str, *values: float) -> Change:
    return Change(image_id, {"image": row(*values)})


def test_an_empty_shard_finds_nothing(make: Make, space: SpaceSpec) -> None:
    shard = make(space)
    (hits,) = shard.search("image", row(1, 2, 3, 4), 10)
    assert hits.image_ids == []
    assert len(hits.scores) == 0
    assert (shard.applied_seq, shard.image_count, shard.vector_bytes) == (0, 0, 0)


@pytest.mark.parametrize(
    ("metric", "score"),
    [
        (Metric.COSINE, 11 / math.sqrt(5 * 25)),
        (Metric.INNER_PRODUCT, 11.0),
        (Metric.EUCLIDEAN, -math.sqrt(8)),
    ],
)
def test_scores(make: Make, metric: Metric, score: float) -> None:
    shard = make(SpaceSpec("image", 2, metric))
    shard.apply([put("a", 3, 4)], 1)
    (hits,) = shard.search("image", row(1, 2), 1)
    assert hits.scores[0] == pytest.approx(score, abs=1e-6)


def test_an_image_finds_itself_first_at_distance_zero(make: Make) -> None:
    shard = make(SpaceSpec("image", 64, Metric.EUCLIDEAN))
    rows = np.random.default_rng(0).standard_normal((40, 64)).astype(np.float32) * 100
    shard.apply([Change(str(place), {"image": rows[place : place + 1]}) for place in range(40)], 40)
    found = shard.search("image", rows, 2)
    assert [hits.image_ids[0] for hits in found] == [str(place) for place in range(40)]
    assert all(hits.scores[0] == 0 for hits in found)


def test_no_query_has_no_answer(make: Make, space: SpaceSpec) -> None:
    shard = make(space)
    assert shard.search("image", np.empty((0, 4), np.float32), 10) == []
    shard.apply([put("a", 1, 2, 3, 4)], 1)
    assert shard.search("image", np.empty((0, 4), np.float32), 10) == []


def test_more_asked_than_there_is(make: Make, space: SpaceSpec) -> None:
    shard = make(space)
    shard.apply([put("a", 1, 0, 0, 0), put("b", 0, 1, 0, 0)], 2)
    (hits,) = shard.search("image", row(1, 0.1, 0, 0), 1000)
    assert hits.image_ids == ["a", "b"]


def test_equal_scores_are_in_order_of_ids(make: Make, space: SpaceSpec) -> None:
    shard = make(space)
    for seq, image_id in enumerate("qwertyuiopasdfghjklzxcvbnm"):
        shard.apply([put(image_id, 1, 2, 3, 4)], seq + 1)
    (hits,) = shard.search("image", row(1, 2, 3, 4), 5)
    assert hits.image_ids == list("abcde")


def test_an_image_with_several_rows_is_found_once_by_its_best(make: Make) -> None:
    shard = make(COSINE)
    rows = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], np.float32)
    shard.apply([Change("many", {"image": rows}), put("one", 0, 0.9, 0.1, 0), put("none", 0, 0, 0, 1)], 3)
    (hits,) = shard.search("image", row(0, 1, 0, 0), 3)
    assert hits.image_ids == ["many", "one", "none"]
    assert hits.scores[0] == pytest.approx(1)


def test_a_hit_says_which_of_its_images_rows_it_is(make: Make) -> None:
    shard = make(COSINE)
    axes = np.eye(4, dtype=np.float32)
    shard.apply(
        [Change("a", {"image": axes[[0, 1, 2]]}), Change("b", {"image": axes[[2, 1, 0]]}), put("c", 1, 0, 0, 0)], 3
    )
    shard.apply([Change("d", {"image": axes[[3, 3, 1]]})], 4)
    found = shard.search("image", axes[[0, 1, 3]], 4)
    named = [dict(zip(hits.image_ids, ordinals_of(hits), strict=True)) for hits in found]
    assert named[0] | {"d": 0} == {"a": 0, "b": 2, "c": 0, "d": 0}
    assert named[1] | {"c": 0} == {"a": 1, "b": 1, "c": 0, "d": 2}
    assert found[2].image_ids[0] == "d"
    assert named[2]["d"] == 0


def test_the_rows_of_an_image_are_counted_anew_when_it_is_written_anew(make: Make) -> None:
    shard = make(COSINE)
    axes = np.eye(4, dtype=np.float32)
    shard.apply([Change("a", {"image": axes[[0, 1]]})], 1)
    shard.apply([Change("a", {"image": axes[[1, 2, 0]]}), Change("b", {"image": axes[[3]]})], 3)
    (hits,) = shard.search("image", axes[[0]], 1, min_score=0.5)
    assert (hits.image_ids, ordinals_of(hits)) == (["a"], [2])


def test_where_each_image_has_one_row_nobody_counts_them(make: Make) -> None:
    shard = make(COSINE)
    shard.apply([put("a", 1, 0, 0, 0), put("b", 0, 1, 0, 0)], 2)
    (hits,) = shard.search("image", row(1, 0.1, 0, 0), 2)
    assert hits.ordinals is None


def test_an_image_may_have_no_row_in_a_space(make: Make) -> None:
    shard = make(COSINE, SpaceSpec("region", 2, Metric.COSINE))
    nothing = np.empty((0, 2), np.float32)
    shard.apply([Change("bare", {"image": row(1, 0, 0, 0), "region": nothing}), put("plain", 0, 1, 0, 0)], 2)
    assert shard.image_count == 2
    assert shard.search("region", row(1, 1), 5)[0].image_ids == []
    assert shard.vectors("region", ["bare"]) == {}


def test_many_rows_an_image_do_not_crowd_out_others(make: Make) -> None:
    shard = make(COSINE)
    near = np.tile(np.array([[1, 0, 0, 0]], np.float32), (100, 1))
    shard.apply([Change("crowd", {"image": near}), put("far", 0.5, 0.5, 0, 0)], 2)
    (hits,) = shard.search("image", row(1, 0, 0, 0), 2)
    assert hits.image_ids == ["crowd", "far"]


def test_a_later_write_replaces_and_a_delete_removes(make: Make) -> None:
    shard = make(COSINE)
    shard.apply([put("a", 1, 0, 0, 0), put("b", 0, 1, 0, 0)], 2)
    shard.apply([put("a", 0, 0, 1, 0), Change("b", None), Change("never there", None)], 5)
    (hits,) = shard.search("image", row(1, 0, 0, 0), 10)
    assert hits.image_ids == ["a"]
    assert hits.scores[0] == 0
    assert (shard.applied_seq, shard.image_count) == (5, 1)


def test_the_last_of_several_changes_of_one_image_holds(make: Make) -> None:
    shard = make(COSINE)
    shard.apply([put("a", 1, 0, 0, 0), Change("a", None), put("b", 1, 0, 0, 0), put("b", 0, 1, 0, 0)], 4)
    (hits,) = shard.search("image", row(0, 1, 0, 0), 10)
    assert hits.image_ids == ["b"]
    assert hits.scores[0] == pytest.approx(1)


def test_min_score_keeps_what_is_at_least_that(make: Make) -> None:
    shard = make(SpaceSpec("image", 1, Metric.INNER_PRODUCT))
    shard.apply([put("a", 3), put("b", 2), put("c", 1)], 3)
    (hits,) = shard.search("image", row(1), 10, min_score=2)
    assert hits.image_ids == ["a", "b"]


@pytest.mark.parametrize(
    "bad",
    [row(1, 2, 3), row(math.nan, 0, 0, 1), row(math.inf, 0, 0, 1), row(1e30, 0, 0, 0), np.zeros(4, np.float32)],
    ids=["dimension", "nan", "inf", "too long", "shape"],
)
def test_refuses_bad_vectors_and_changes_nothing(make: Make, bad: np.ndarray) -> None:
    shard = make(SpaceSpec("image", 4, Metric.EUCLIDEAN))
    shard.apply([put("a", 1, 0, 0, 0)], 1)
    with pytest.raises(InvalidVector):
        shard.apply([put("b", 1, 0, 0, 0), Change("a", None), Change("c", {"image": bad})], 2)
    with pytest.raises(InvalidVector):
        shard.search("image", bad, 1)
    with pytest.raises(InvalidVector):
        shard.scores("image", bad, ["a"])
    assert (shard.applied_seq, shard.image_count) == (1, 1)
    assert shard.search("image", row(1, 0, 0, 0), 9)[0].image_ids == ["a"]


def test_a_vector_of_zeros_has_no_direction(make: Make) -> None:
    shard = make(COSINE)
    with pytest.raises(InvalidVector, match="length zero"):
        shard.apply([put("a", 0, 0, 0, 0)], 1)
    with pytest.raises(InvalidVector, match="length zero"):
        shard.search("image", row(0, 0, 0, 0), 1)


def test_unknown_spaces_are_named(make: Make) -> None:
    shard = make(COSINE)
    for call in (
        lambda: shard.search("colour", row(1, 0, 0, 0), 1),
        lambda: shard.vectors("colour", ["a"]),
        lambda: shard.scores("colour", row(1, 0, 0, 0), ["a"]),
        lambda: shard.apply([Change("a", {"colour": row(1, 0, 0, 0)})], 1),
    ):
        with pytest.raises(SpaceNotFound, match=r"colour.*image"):
            call()


def test_an_image_is_in_all_its_spaces_or_in_none(make: Make) -> None:
    shard = make(COSINE, SpaceSpec("shape", 2, Metric.EUCLIDEAN))
    shard.apply([Change("a", {"image": row(1, 0, 0, 0), "shape": row(1, 1)}), Change("b", {"shape": row(2, 2)})], 2)
    assert shard.image_count == 2
    assert shard.search("shape", row(1, 1), 5)[0].image_ids == ["a", "b"]
    shard.apply([Change("a", {"image": row(0, 1, 0, 0)}), Change("b", None)], 4)
    assert shard.image_count == 1
    assert shard.search("shape", row(1, 1), 5)[0].image_ids == []
    assert shard.search("image", row(1, 0, 0, 0), 5)[0].image_ids == ["a"]


def test_vectors_returns_what_is_stored(make: Make) -> None:
    shard = make(COSINE)
    shard.apply([Change("a", {"image": np.array([[3, 4, 0, 0], [0, 0, 2, 0]], np.float32)}), put("b", 1, 0, 0, 0)], 2)
    found = shard.vectors("image", ["a", "gone"])
    assert list(found) == ["a"]
    assert np.allclose(found["a"], [[0.6, 0.8, 0, 0], [0, 0, 1, 0]])


def test_named_images_are_scored_by_their_best_rows(make: Make, space: SpaceSpec) -> None:
    shard = make(space)
    random = np.random.default_rng(5)
    rows = random.standard_normal((40, 3, 4)).astype(np.float32)
    shard.apply([Change(f"{place:02}", {"image": rows[place]}) for place in range(40)], 40)
    queries = random.standard_normal((3, 4)).astype(np.float32)
    scored = shard.scores("image", queries, ["07", "31", "gone"])
    assert list(scored) == ["07", "31"]
    for place, hits in enumerate(shard.search("image", queries, 40)):
        for image_id, scores in scored.items():
            rank = hits.image_ids.index(image_id)
            assert scores.scores[place] == hits.scores[rank]
            assert scores.ordinals[place] == ordinals_of(hits)[rank]


def test_of_equal_rows_of_a_named_image_the_first_counts(make: Make, space: SpaceSpec) -> None:
    shard = make(space)
    row_of_all = np.random.default_rng(3).standard_normal((1, 4)).astype(np.float32)
    shard.apply([Change("a", {"image": np.repeat(row_of_all, 33, axis=0)})], 1)
    queries = np.random.default_rng(4).standard_normal((7, 4)).astype(np.float32)
    assert shard.scores("image", queries, ["a"])["a"].ordinals.tolist() == [0] * 7


def test_a_batch_of_queries_finds_what_each_finds_alone(make: Make, space: SpaceSpec) -> None:
    shard = make(space)
    random = np.random.default_rng(1)
    rows = random.standard_normal((300, 4)).astype(np.float32)
    shard.apply([Change(f"{place:03}", {"image": rows[place : place + 1]}) for place in range(300)], 300)
    queries = random.standard_normal((50, 4)).astype(np.float32)
    together = shard.search("image", queries, 7)
    for query, batched in zip(queries, together, strict=True):
        (alone,) = shard.search("image", query[None], 7)
        assert alone.image_ids == batched.image_ids
        assert alone.scores.tolist() == batched.scores.tolist()
