import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pixvec.domain import Metric
from pixvec.index.interfaces import Change, ShardHits, SpaceSpec
from pixvec.index.merge import above, best_images, merge_hits, row_ordinals
from pixvec.index.shard import Shard


def hits(*found: tuple[str, float]) -> ShardHits:
    return ShardHits([image_id for image_id, _ in found], np.array([score for _, score in found], np.float32))


def test_best_first_and_equal_ones_by_id() -> None:
    merged = merge_hits([hits(("d", 3), ("a", 1)), hits(("b", 3), ("c", 2)), hits()], 3)
    assert merged.image_ids == ["b", "d", "c"]
    assert merged.scores.tolist() == [3, 3, 2]
    assert merged.scores.dtype == np.float32


def test_one_list_is_cut_as_well() -> None:
    assert merge_hits([hits(("a", 2), ("b", 1))], 1).image_ids == ["a"]
    assert merge_hits([hits(("a", 2), ("b", 1))], 2).image_ids == ["a", "b"]


def test_nothing_found() -> None:
    assert merge_hits([hits(), hits()], 5).image_ids == []


@given(
    st.lists(st.sampled_from([0.0, 1.0, 2.5]), min_size=1, max_size=40),
    st.integers(1, 5),
    st.integers(1, 12),
)
def test_sharded_equals_flat(values: list[float], shards: int, k: int) -> None:
    space = SpaceSpec("image", 1, Metric.EUCLIDEAN)
    flat, parts = Shard([space]), [Shard([space]) for _ in range(shards)]
    for number, value in enumerate(values):
        change = Change(f"{number:02}", {"image": np.array([[value]], np.float32)})
        flat.apply([change], number + 1)
        parts[number % shards].apply([change], number + 1)
    query = np.array([[1.2]], np.float32)
    (expected,) = flat.search("image", query, k)
    merged = merge_hits([part.search("image", query, k)[0] for part in parts], k)
    assert merged.image_ids == expected.image_ids
    assert merged.scores.tolist() == expected.scores.tolist()


def test_rows_keep_their_ordinals_beside_lists_of_one_row_an_image() -> None:
    several = ShardHits(["b", "c"], np.array([3, 1], np.float32), np.array([4, 2], np.uint32))
    merged = merge_hits([hits(("a", 3), ("d", 2)), several], 3)
    assert merged.image_ids == ["a", "b", "d"]
    assert merged.ordinals is not None
    assert merged.ordinals.tolist() == [0, 4, 0]


def test_a_cut_by_score_cuts_the_ordinals() -> None:
    cut = above(ShardHits(["a", "b"], np.array([2, 1], np.float32), np.array([5, 6], np.uint32)), 1.5)
    assert cut.ordinals is not None
    assert (cut.image_ids, cut.scores.tolist(), cut.ordinals.tolist()) == (["a"], [2], [5])


def test_of_equal_rows_of_an_image_the_first_counts() -> None:
    best = best_images(["b", "a", "a", "b"], [1.0, 0.5, 1.0, 1.0], 2, [3, 0, 1, 2])
    assert best.ordinals is not None
    assert (best.image_ids, best.ordinals.tolist()) == (["a", "b"], [1, 2])


@given(st.lists(st.integers(0, 4), max_size=30))
def test_ordinals_count_the_rows_of_each_image(lengths: list[int]) -> None:
    image_ids = [str(number) for number, length in enumerate(lengths) for _ in range(length)]
    counted = row_ordinals(image_ids)
    expected = [ordinal for length in lengths for ordinal in range(length)]
    assert (counted is None) == (max(lengths, default=0) <= 1)
    assert counted is None or counted.tolist() == expected
