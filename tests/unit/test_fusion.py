"""The arithmetic of fusion, against sums written out."""

import math

import numpy as np
import pytest

from pixvec.domain import Metric
from pixvec.fusion import brought_to_one, ranked, reciprocal_ranks, weighted_means

SPACES = ("image", "colours", "texture")


def lists_of(seed):
    """Return a list of some of 30 images for each space, and weights."""
    rng = np.random.default_rng(seed)
    ids = [f"p{number}" for number in range(30)]
    lists = {space: list(rng.permutation(ids)[: rng.integers(0, 30)]) for space in SPACES}
    return lists, dict(zip(SPACES, rng.uniform(0, 3, 3).tolist(), strict=True))


@pytest.mark.parametrize("seed", range(20))
def test_ranks_are_fused_as_the_paper_says(seed):
    lists, weights = lists_of(seed)
    fused = reciprocal_ranks(lists, weights, 60)
    for image_id in {each for own in lists.values() for each in own}:
        shares = [weights[s] / (60 + own.index(image_id) + 1) for s, own in lists.items() if image_id in own]
        assert fused.pop(image_id) == pytest.approx(sum(shares), rel=1e-12)
    assert fused == {}


def test_one_list_alone_keeps_its_order_and_agreement_beats_a_single_first_rank():
    assert reciprocal_ranks({"image": ["b", "a"]}, {"image": 1}, 60) == {"b": 1 / 61, "a": 1 / 62}
    both = reciprocal_ranks({"image": ["a", "c"], "colours": ["b", "c"]}, {"image": 1, "colours": 1}, 60)
    assert max(both, key=both.__getitem__) == "c"
    # The first ranks stand out where k is small.
    steep = reciprocal_ranks(
        {"image": ["a", "x", "y", "c"], "colours": ["b", "y", "z", "c"]}, {"image": 1, "colours": 1}, 1
    )
    assert steep["a"] > steep["c"]


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_the_spaces_changes_nothing(seed):
    lists, weights = lists_of(seed)
    scores = {space: {each: 1 / (place + 2) for place, each in enumerate(own)} for space, own in lists.items()}
    ids = sorted({each for own in lists.values() for each in own})
    metrics = dict.fromkeys(SPACES, Metric.COSINE)
    turned = dict(reversed(lists.items()))
    assert reciprocal_ranks(lists, weights, 60) == reciprocal_ranks(turned, weights, 60)
    assert weighted_means(scores, weights, metrics, ids) == weighted_means(
        dict(reversed(scores.items())), dict(reversed(weights.items())), metrics, ids
    )


@pytest.mark.parametrize("seed", range(20))
def test_a_mean_of_cosines_is_the_cosine_of_vectors_side_by_side(seed):
    rng = np.random.default_rng(seed)
    weights = dict(zip(SPACES, rng.uniform(0.1, 3, 3).tolist(), strict=True))
    units = {space: _units(rng, 20) for space in SPACES}
    query = {space: _units(rng, 1)[0] for space in SPACES}
    ids = [f"p{number}" for number in range(20)]
    scores = {space: dict(zip(ids, (units[space] @ query[space]).tolist(), strict=True)) for space in SPACES}
    side_by_side = np.hstack([math.sqrt(weights[s]) * units[s] for s in SPACES])
    wanted = np.hstack([math.sqrt(weights[s]) * query[s] for s in SPACES])
    cosines = side_by_side @ wanted / np.linalg.norm(side_by_side, axis=1) / np.linalg.norm(wanted)
    fused = weighted_means(scores, weights, dict.fromkeys(SPACES, Metric.COSINE), ids)
    assert list(fused.values()) == pytest.approx(((1 + cosines) / 2).tolist(), abs=1e-12)


def _units(rng, count):
    rows = rng.normal(size=(count, 6))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_weights_are_shares_and_what_has_no_score_has_nothing():
    scores = {"image": {"a": 1.0, "b": 1.0}, "region": {"a": 0.0}}
    metrics = dict.fromkeys(scores, Metric.COSINE)
    assert weighted_means(scores, {"image": 3, "region": 1}, metrics, ["a", "b"]) == {"a": 0.875, "b": 0.75}
    assert weighted_means(scores, {"image": 1, "region": 0}, metrics, ["a", "b"]) == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    ("metric", "scores"),
    [
        (Metric.COSINE, [-1, -0.5, 0, 0.5, 1]),
        (Metric.INNER_PRODUCT, [-1e9, -1, 0, 1, 1e9]),
        (Metric.EUCLIDEAN, [-1e9, -3, -1, -0.1, 0]),
    ],
)
def test_every_metric_is_brought_to_the_same_scale_in_its_order(metric, scores):
    brought = [brought_to_one(score, metric) for score in scores]
    assert brought == sorted(set(brought))
    assert (brought[0], brought[-1]) == pytest.approx((0, 1), abs=1e-6)


def test_equal_scores_are_in_order_of_ids_and_a_threshold_takes_what_it_names():
    fused = {"c": 0.1, "a": 0.1 + 1e-12, "b": 0.3, "d": 0.05}
    (first, third, second, last) = ranked(fused)
    assert [first[0], third[0], second[0], last[0]] == ["b", "a", "c", "d"]
    assert [image_id for image_id, _ in ranked(fused, second[1])] == ["b", "a", "c"]
