"""The arithmetic of fusion, against sums written out."""

import numpy as np
import pytest

from pixvec.fusion import Scale, ranked, reciprocal_ranks, weighted_means

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
    scales = {space: Scale.of(list(own.values())) for space, own in scores.items() if own}
    turned = dict(reversed(weights.items()))
    assert reciprocal_ranks(lists, weights, 60) == reciprocal_ranks(dict(reversed(lists.items())), weights, 60)
    assert weighted_means(scores, weights, scales, ids) == weighted_means(scores, turned, scales, ids)


@pytest.mark.parametrize("seed", range(20))
def test_scores_are_weighed_by_what_they_are_of_the_spread_of_their_space(seed):
    rng = np.random.default_rng(seed)
    ids = [f"p{number}" for number in range(30)]
    weights = dict(zip(SPACES, rng.uniform(0.1, 3, 3).tolist(), strict=True))
    scores = {space: dict(zip(ids, rng.normal(size=30).tolist(), strict=True)) for space in SPACES}
    fused = weighted_means(scores, weights, {space: scale(own) for space, own in scores.items()}, ids)
    for image_id in ids:
        shares = [
            weights[s] * (own[image_id] - min(own.values())) / (max(own.values()) - min(own.values()))
            for s, own in scores.items()
        ]
        assert fused[image_id] == pytest.approx(sum(shares) / sum(weights.values()), abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_how_widely_a_space_spreads_its_scores_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    ids = [f"p{number}" for number in range(300)]
    scores = {space: dict(zip(ids, rng.normal(size=300).tolist(), strict=True)) for space in SPACES}
    wide = {**scores, "image": {image_id: 50 * score - 7 for image_id, score in scores["image"].items()}}
    weights = {"image": 1.0, "colours": 0.5, "texture": 2.0}
    fused, same = (
        weighted_means(each, weights, {space: scale(own) for space, own in each.items()}, ids)
        for each in (scores, wide)
    )
    assert list(fused.values()) == pytest.approx(list(same.values()), abs=1e-9)
    assert -1 <= min(fused.values()) < 0
    assert max(fused.values()) <= 1


def scale(own):
    return Scale.of(sorted(own.values(), reverse=True))


def test_a_scale_goes_from_the_best_score_over_the_200th_to_as_far_below():
    of_many = Scale.of([1000 - place for place in range(900)])
    assert of_many == Scale(1000, 801)
    assert [of_many.place(score) for score in (1001, 1000, 801, 602, 5)] == [1, 1, 0, -1, -1]
    assert Scale.of([0.5, 0.25]).place(0.375) == 0.5
    assert [Scale.of([0.5]).place(score) for score in (0.5, 0.25)] == [1, -1]


def test_weights_are_shares_and_what_has_no_score_is_the_last():
    scores = {"image": {"a": 1.0, "b": 1.0, "c": 0.5}, "region": {"a": 0.25, "c": 0.0}}
    scales = {"image": Scale(1.0, 0.0), "region": Scale(0.25, 0.0)}
    assert weighted_means(scores, {"image": 3, "region": 1}, scales, ["a", "b", "c"]) == {"a": 1, "b": 0.5, "c": 0.375}
    assert weighted_means(scores, {"image": 1, "region": 0}, scales, ["a", "b"]) == {"a": 1, "b": 1}
    assert weighted_means(scores, {"image": 1, "region": 1}, {"image": Scale(1, 0)}, ["a"]) == {"a": 0}


def test_equal_scores_are_in_order_of_ids_and_a_threshold_takes_what_it_names():
    fused = {"c": 0.1, "a": 0.1 + 1e-12, "b": 0.3, "d": 0.05}
    (first, third, second, last) = ranked(fused)
    assert [first[0], third[0], second[0], last[0]] == ["b", "a", "c", "d"]
    assert [image_id for image_id, _ in ranked(fused, second[1])] == ["b", "a", "c"]
